"""Sweeps of W&B start commands that Hydra understands."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from aach_lightning.config.schema import register_schemas
from aach_lightning.runtime.run import checked_config
from tests.conftest import CONF

FILES = sorted((CONF / "sweep").glob("*.yaml"))


def expanded(sweep: dict[str, Any], chosen: dict[str, Any]) -> list[str]:
    """The command that W&B's agent runs for one combination."""
    command = {"program": sweep["program"], "args": {name: {"value": value} for name, value in chosen.items()}}
    macros = create_sweep_command_args(command)
    macros |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [command["program"]]}
    return [
        text
        for part in create_sweep_command(list(sweep["command"]))
        for text in (macros[part[2:-1]] if part.startswith("${") else [part])
    ]


def test_there_are_sweeps() -> None:
    assert FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_combinations_of_a_sweep_are_valid_configurations(file: Path, tmp_path: Path) -> None:
    sweep = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert sweep["method"] == "grid"
    assert (CONF.parent / sweep["program"]).is_file()
    register_schemas()
    combinations = list(product(*(parameter["values"] for parameter in sweep["parameters"].values())))
    assert len(combinations) > 1
    for values in (combinations[0], combinations[-1]):
        chosen = dict(zip(sweep["parameters"], values, strict=True))
        command = expanded(sweep, chosen)
        assert command[:3] == ["/usr/bin/env", "python", "attack.py"]
        assert not any("${" in part or part.startswith("-") for part in command)
        paths = [f"paths.{name}={tmp_path}" for name in ("store", "cache", "output")]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            composed = compose(Path(sweep["program"]).stem, [*command[3:], *paths])
        checked = checked_config(composed)
        assert checked.logger.name == "wandb"
        assert checked.logger.project == sweep["project"]  # W&B takes that of the sweep
        for name, value in chosen.items():
            assert OmegaConf.select(composed, name) == value
        assert "sweep" not in composed
