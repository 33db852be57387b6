"""What conf/hydra/launcher asks a cluster for, and the commands on the page about clusters."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from aach_lightning.config.schema import register_schemas
from aach_lightning.runtime.run import STAMP, checked_config
from tests.conftest import CONF

ROOT = CONF.parent
BLOCKS = re.findall(r"^```bash\n(.*?)^```", (ROOT / "docs" / "clusters.md").read_text(), re.MULTILINE | re.DOTALL)
PLUGINS = {"slurm": "submitit", "slurm_local": "submitit", "joblib": "joblib", "ray": "ray"}

with_submitit = pytest.mark.skipif(find_spec("submitit") is None, reason="needs the extra slurm")


def composed(command: str, *overrides: str) -> DictConfig:
    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(command, [*overrides, "paths.output=out", "hydra.job.name=attack"], return_hydra_config=True)


def asked(config: DictConfig) -> dict[str, Any]:
    return {
        key: OmegaConf.select(config, f"hydra.launcher.{key}") for key in ("nodes", "tasks_per_node", "gpus_per_node")
    }


@with_submitit
@pytest.mark.parametrize(
    ("overrides", "nodes", "tasks", "gpus"),
    [
        ((), 1, 1, None),
        (("trainer=ddp", "trainer.devices=3"), 1, 3, None),
        (("trainer=gpu",), 1, 1, 1),
        (("trainer=ddp", "trainer.accelerator=cuda"), 1, 2, 2),
        (("trainer=gpu", "trainer.devices=4", "trainer.num_nodes=2"), 2, 4, 4),
        (("trainer=gpu", "hydra.launcher.gpus_per_node=null", "hydra.launcher.gres=gpu:a100:1"), 1, 1, None),
    ],
)
def test_one_task_a_device_and_gpus_only_where_they_are_used(
    overrides: tuple[str, ...], nodes: int, tasks: int, gpus: int | None
) -> None:
    found = asked(composed("attack", "hydra/launcher=slurm", *overrides))
    assert found == {"nodes": nodes, "tasks_per_node": tasks, "gpus_per_node": gpus}


@with_submitit
def test_the_local_launcher_starts_as_many() -> None:
    found = asked(composed("attack", "hydra/launcher=slurm_local", "trainer=ddp"))
    assert found == {"nodes": 1, "tasks_per_node": 2, "gpus_per_node": None}


@with_submitit
def test_a_job_is_told_the_folder_of_its_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STAMP, "my sweep")
    setup = composed("attack", "hydra/launcher=slurm").hydra.launcher.setup
    script = "\n".join([*setup, f"echo ${STAMP}"])
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == "my sweep\n"


def test_without_the_extra_other_runs_work_and_the_reason_is_said() -> None:
    script = "; ".join(
        (
            "import sys, runpy, hydra_plugins",
            "hydra_plugins.__path__ = []",  # as if no plugin were installed
            "sys.argv = ['attack.py', *sys.argv[1:]]",
            "runpy.run_path('attack.py', run_name='__main__')",
        )
    )

    def started(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", script, *arguments, "--cfg", "job"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert started().returncode == 0
    refused = started("hydra/launcher=slurm")
    assert refused.returncode == 1
    said = "Could not load 'hydra/launcher/submitit_slurm'"
    assert said in refused.stderr
    assert said in (ROOT / "docs" / "clusters.md").read_text()


def commands() -> Iterator[list[str]]:
    for block in BLOCKS:
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            script = {"attack.py", "train.py"} & set(words)
            if script:
                yield words[words.index(script.pop()) :]


COMMANDS = list(commands())


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) >= 12


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_job_of_a_command_has_a_valid_configuration(words: list[str]) -> None:
    swept = words[1] == "-m"
    parsed = OverridesParser.create().parse_overrides(words[2:] if swept else words[1:])
    launcher = next((each.value() for each in parsed if each.key_or_group == "hydra/launcher"), None)
    if launcher is not None:
        assert swept, "without -m there is no launcher"
        if find_spec(PLUGINS[str(launcher)]) is None:
            pytest.skip(f"needs the extra {launcher}")
    for place in (0, -1):
        chosen = []
        for each in parsed:
            texts = list(each.sweep_string_iterator()) if each.is_sweep_override() else []
            chosen.append(f"{each.get_key_element()}={texts[place]}" if texts else str(each.input_line))
        config = composed(words[0].removesuffix(".py"), *chosen)
        with open_dict(config):
            del config["hydra"]
        checked_config(config)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_what_is_to_be_copied_is_bash(number: int) -> None:
    subprocess.run(["bash", "-n"], input=BLOCKS[number], text=True, check=True)


def test_the_script_that_starts_a_cluster_is_bash() -> None:
    subprocess.run(["bash", "-n", str(Path(__file__).with_name("run.sh"))], check=True)
