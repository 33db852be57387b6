"""Attacks on networks that come in files, in this process: state dicts, TorchScript and ONNX."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from aach_lightning import cli
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.load import load_pairs
from aach_lightning.errors import ConfigError
from tests.e2e.conftest import LIMIT, ROOT, Launcher
from tests.zoo.checkpoints.written import (
    SIDE,
    Draw,
    dcmh,
    image_module,
    save_onnx,
    save_script,
    text_module,
)

FORMS = {"dcmh": "checkpoint", "torchscript": "torchscript", "onnx": "onnx"}
NO_GRADIENTS = ("evaluation.white_box=false",)


@pytest.fixture
def compose(compose_toy: Callable[..., RunConfig], tmp_path: Path) -> Callable[..., RunConfig]:
    def composed(form: str, *overrides: str) -> RunConfig:
        own = ["target.method.format=dcmh"] if form == "dcmh" else []
        paths = [f"target.method.{name}_file={tmp_path / f'{name}.{form}'}" for name in ("image", "text")]
        size = f"data.image_size={SIDE}"
        return compose_toy(f"target={FORMS[form]}", *own, *paths, size, "attack.epsilon=64", *overrides)

    return composed


@pytest.fixture
def attack(compose: Callable[..., RunConfig], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Write files for the words of the data, attack, and read the result."""

    def attacked(form: str, *overrides: str) -> dict[str, Any]:
        config = compose(form, *overrides)
        words, draw = len(load_pairs(config.data, config.paths).words), Draw(1)
        image, text = tmp_path / f"image.{form}", tmp_path / f"text.{form}"
        if form == "dcmh":
            torch.save(dcmh()[0], image)
            torch.save({**draw.layer("conv1", 12, 1, words, 1), **draw.layer("conv2", 16, 12, 1, 1)}, text)
        elif form == "torchscript":
            save_script(image_module(), image)
            save_script(text_module(words), text)
        else:
            save_onnx(image_module(), image, ["n", 3, SIDE, SIDE])
            save_onnx(text_module(words), text, ["n", words])
        cli.attack(config)
        result: dict[str, Any] = json.loads((tmp_path / "output" / "result.json").read_text())
        return result

    return attacked


def rows(result: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["direction"], row["query"]): row for row in result["rows"]}


@pytest.mark.parametrize("form", ["dcmh", "torchscript"])
def test_the_whole_attack_and_its_bound(attack: Callable[..., dict[str, Any]], form: str) -> None:
    result = attack(form)
    found = rows(result)
    for direction in ("I2T", "T2I"):
        assert {query for side, query in found if side == direction} == {"clean", "noise", "attack", "white_box"}
        assert found[direction, "clean"]["distance"] == 0
    for query, needs in (("attack", "codes"), ("white_box", "weights")):
        row = found["I2T", query]
        assert row["needs"] == needs
        assert 0 < row["rms"] <= 64 / 255
    assert found["I2T", "white_box"]["distance"] > 0
    assert result["queries"]["spent_pairs"] == 30


def test_the_whole_attack_without_gradients(attack: Callable[..., dict[str, Any]]) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    onnx = rows(attack("onnx", *NO_GRADIENTS))
    assert {query for _, query in onnx} == {"clean", "noise", "attack"}
    script = rows(attack("torchscript", *NO_GRADIENTS))
    assert {key: row["map"] for key, row in onnx.items()} == {key: row["map"] for key, row in script.items()}


def test_a_search_behind_a_defence(attack: Callable[..., dict[str, Any]]) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    search = ("attack=square", "attack.modality=image", "attack.queries=40", "target/defence=bit_depth")
    result = attack("onnx", *NO_GRADIENTS, *search, "target.defence.bits=2")
    assert {row["query"] for row in result["rows"]} == {"clean", "noise", "attack"}


@pytest.mark.parametrize(
    ("form", "overrides", "message"),
    [
        ("onnx", (), r"evaluation\.white_box=True: an ONNX file has no gradients: choose evaluation\.white_box=false"),
        ("onnx", (*NO_GRADIENTS, "attack.source=target"), r"attack\.source=target: an ONNX file has no gradients"),
        ("dcmh", ("target.method.text_file=null",), r"text_file=None: format=dcmh is two files"),
        ("dcmh", ("target.method.format=jdsh",), r"text_file=.*: format=jdsh is one file: must be null"),
        ("dcmh", ("target.method.format=cpah",), r"weights_file=None: format=cpah reads features of CNN-F"),
        ("onnx", ("target.method.weights_file=x",), r"weights_file=x: format=onnx has no use for it"),
        ("dcmh", ("target.method.largest_mib=0",), r"largest_mib=0: must be greater than 0"),
        ("dcmh", ("target.method.feature_std=0",), r"feature_std=0\.0: must be greater than 0"),
        ("dcmh", ("target.method.format=mith",), r"attack\.modality=both: texts of format=mith are numbers of tokens"),
        (
            "dcmh",
            ("attack.source=target", "attack.gradient.slope=0.5"),
            r"attack\.gradient\.slope=0\.5: networks from files give nothing before their tanh",
        ),
        ("dcmh", ("target/adversarial=pgd",), r"target\.adversarial\.method=pgd: hardening goes on with DCMH's loss"),
    ],
)
def test_what_cannot_be_is_refused(
    compose: Callable[..., RunConfig], form: str, overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        compose(form, *overrides)


def test_the_command_that_looks_at_a_target(
    launcher: Launcher, compose: Callable[..., RunConfig], tmp_path: Path
) -> None:
    config = compose("torchscript")
    words = len(load_pairs(config.data, config.paths).words)
    files = save_script(image_module(), tmp_path / "image.pt"), save_script(text_module(words), tmp_path / "text.pt")
    arguments, _ = launcher._command(
        [
            *("target=torchscript", f"target.method.image_file={files[0]}", f"target.method.text_file={files[1]}"),
            *("data.image_size=32", "data.pairs=60", "split.query=10", "split.train=40", "target.code_length=16"),
            *("budget.pairs=30", "evaluation.queries=6", "target.validation=8"),
        ],
        "check",
    )
    done = subprocess.run(
        [sys.executable, "-m", "aach_lightning.targets", "check", *arguments],
        cwd=ROOT,
        env={**launcher.environment, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    parameters = 8 * 3 * 25 + 8 + 16 * 8 + 16 + 16 * words + 16
    for said in ("any pair of TorchScript archives", f"parameters {parameters:,}", "as configured", "50 searched"):
        assert said in shown
