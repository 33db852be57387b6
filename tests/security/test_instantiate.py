from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from aach_lightning.config.attack import CustomObjectiveConfig, HagObjectiveConfig
from aach_lightning.errors import CheckpointError, ConfigError
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.runtime.instantiate import VARIABLE, check_targets, instantiate, with_arguments

HOSTILE = [
    "builtins.open",
    "builtins.eval",
    "builtins.exec",
    "builtins.__import__",
    "os.system",
    "posix.system",
    "subprocess.Popen",
    "subprocess.run",
    "pickle.loads",
    "shutil.rmtree",
    "importlib.import_module",
    "functools.partial",
    "torch.load",
    "torch.hub.load",
    "torch.hub.download_url_to_file",
    "torch.utils.cpp_extension.load",
    "torch.nnx.Linear",
    "torch.nn",
    "torch.nn.modules.module.torch.load",
    "torch.nn.modules.module.functools.partial",
    "torch.nn.modules.module.torch.hub.load",
    "torch.nn.modules.module.torch.os.system",
    "torch.nn.Module.forward.__globals__",
    "torch.nn.Module.__class__",
    "torch.nn.Module.__subclasses__",
    "torch.nn.Module.__init__.__builtins__",
    "aach_lightning",
    "aach_lightningx.Net",
    "aach_lightning.runtime",
    "aach_lightning.runtime.checkpoints.torch.load",
    "aach_lightning.runtime.checkpoints.torch.hub.load",
    "aach_lightning.runtime.checkpoints.load_file",
    "aach_lightning.runtime.checkpoints.pickle.loads",
    "aach_lightning.runtime.files.os.system",
    "aach_lightning.runtime.files.tempfile.mkstemp",
    "aach_lightning.runtime.files.Path",
    "aach_lightning.runtime.instantiate.hydra_instantiate",
    "aach_lightning.runtime.instantiate.get_object",
    "aach_lightning.runtime.files.errno.ENOSPC",
    "aach_lightning.does.not.exist",
    "aach_lightning.data.pairs.Absent",
    "aach_lightning..data",
    "aach_lightning.",
    "",
    " os.system",
]
HARMLESS = "torch.nn.Identity"


@pytest.fixture(autouse=True)
def _no_own_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that appears when hostile code ran."""
    return tmp_path / "ran"


@pytest.mark.parametrize("target", HOSTILE)
def test_hostile_targets_are_refused(target: str, canary: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        instantiate({"_target_": target, "_args_": [str(canary), "w"]})
    assert f"_target_={target}" in str(caught.value)
    assert not canary.exists()


@pytest.mark.parametrize(
    "nest",
    [
        lambda bad: {"x": bad},
        lambda bad: {"x": [1, bad]},
        lambda bad: {"x": {"y": [[{"z": bad}]]}},
        lambda bad: {"_args_": [bad]},
        lambda bad: {"x": {"_target_": HARMLESS, "y": bad}},
        lambda bad: {"x": {**bad, "_partial_": True}},
        lambda bad: {"_recursive_": False, "x": bad},
    ],
)
@pytest.mark.parametrize("as_dict_config", [False, True])
def test_nested_hostile_targets_are_refused(nest: Any, as_dict_config: bool, canary: Path) -> None:
    bad = {"_target_": "builtins.open", "file": str(canary), "mode": "w"}
    config: Any = {"_target_": HARMLESS, **nest(bad)}
    with pytest.raises(ConfigError, match=r"_target_=builtins\.open is not allowed"):
        instantiate(OmegaConf.create(config) if as_dict_config else config)
    assert not canary.exists()


def test_interpolated_target_is_refused() -> None:
    config = OmegaConf.create({"_target_": HARMLESS, "x": {"_target_": "${y}.system"}, "y": "os"})
    with pytest.raises(ConfigError, match=r"_target_=os\.system is not allowed"):
        instantiate(config)


@pytest.mark.parametrize("where", ["value", "escaped", "list", "key", "extra", "nested extra"])
def test_interpolations_that_hydra_would_resolve_later_are_refused(where: str, canary: Path) -> None:
    text = f"${{oc.create:{{_target_: builtins.open, file: {canary}, mode: w}}}}"
    extra: dict[str, Any] = {}
    config: Any = {"_target_": HARMLESS}
    if where == "value":
        config["x"] = text
    elif where == "escaped":
        config = OmegaConf.create({**config, "x": "\\" + text})
    elif where == "list":
        config["x"] = [{"y": text}]
    elif where == "key":
        config[text] = 1
    else:
        extra = {"x": text if where == "extra" else [{"y": text}]}
    with pytest.raises(ConfigError, match="interpolation"):
        instantiate(config, **extra)
    assert not canary.exists()


def test_message_names_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match=rf"below aach_lightning\., torch\.nn\..*{VARIABLE}=yourpackage"):
        instantiate({"_target_": "os.system"})


def test_person_at_the_keyboard_may_allow_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"_target_": "fractions.Fraction", "numerator": 3, "denominator": 6}
    with pytest.raises(ConfigError, match="not allowed"):
        instantiate(config)
    monkeypatch.setenv(VARIABLE, " elsewhere. , fractions. ")
    assert str(instantiate(config)) == "1/2"
    with pytest.raises(ConfigError, match="not allowed"):
        instantiate({"_target_": "decimal.Decimal"})


@pytest.mark.parametrize("value", ["", ",", " , "])
def test_empty_variable_allows_nothing(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(ConfigError, match="not allowed"):
        instantiate({"_target_": "os.system", "command": "true"})


def test_allowed_objects_are_made() -> None:
    layers = instantiate(
        {
            "_target_": "torch.nn.Sequential",
            "_args_": [{"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3}],
        }
    )
    assert layers(torch.zeros(5, 2)).shape == (5, 3)
    path = "aach_lightning.networks.small_cnn.SmallCNN"
    assert isinstance(instantiate(OmegaConf.create({"_target_": path, "width": 32}), image_size=16), SmallCNN)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"width": 32, "colour": "red"}, "colour"),  # unknown argument
        ({}, "image_size"),  # missing argument
        ({"image_size": 4}, "at least 16, got 4"),  # refused value
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], said: str) -> None:
    target = "aach_lightning.networks.small_cnn.SmallCNN"
    with pytest.raises(ConfigError, match=said) as caught:
        instantiate({"_target_": target, **arguments})
    assert target in str(caught.value)


def test_error_that_a_person_can_act_on_passes_unchanged(tmp_path: Path) -> None:
    config = {"_target_": "aach_lightning.runtime.checkpoints.load_tensors", "path": str(tmp_path / "absent")}
    with pytest.raises(CheckpointError, match="absent"):
        instantiate(config)


@pytest.mark.parametrize("config", [{}, {"x": 1}, OmegaConf.create({"x": 1})])
def test_without_target(config: Any) -> None:
    with pytest.raises(ConfigError, match="without _target_"):
        instantiate(config)


def test_arguments_of_a_custom_option_stand_beside_its_keys_and_replace_none() -> None:
    described = CustomObjectiveConfig(_target_="torch.nn.Dropout", arguments={"p": 0.25, "_target_": "os.system"})
    assert with_arguments(described) == {"_target_": "torch.nn.Dropout", "p": 0.25}
    assert instantiate(with_arguments(described)).p == 0.25
    assert with_arguments(HagObjectiveConfig(threshold=1.5))["threshold"] == 1.5


def test_arguments_of_a_custom_option_are_checked_like_everything_else() -> None:
    nested = CustomObjectiveConfig(_target_="torch.nn.Dropout", arguments={"p": {"_target_": "os.system"}})
    for described in (asdict(nested), with_arguments(nested)):
        with pytest.raises(ConfigError, match=r"_target_=os\.system is not allowed"):
            check_targets(described)
