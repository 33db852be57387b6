"""The parts that docs/extending.md writes, as they stand there, in the commands that it gives."""

import importlib
import json
import re
import runpy
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.e2e.conftest import LIMIT, ROOT, SCENES, Launcher, Run

pytestmark = pytest.mark.timeout(400)

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
KEY = "a-key-for-this-test-only"
PARTS = ("data.catalogue", "nets.Patches", "attacks.LeaveTheNearest", "mining.Extremes")
TINY = {  # beside SCENES: what the page chooses for real sizes
    "mylab.data.catalogue": ("++data.arguments.words=20", "split.query=15", "split.train=30", "budget.pairs=20"),
    "mylab.nets.Patches": ("++surrogate.image_net.backbone.patch=8", "++surrogate.image_net.backbone.width=32"),
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def command(mentioned: str) -> list[str]:
    """The words of the one command that mentions something, after `python`."""
    lines = [line for block in blocks("bash") for line in block.replace("\\\n", " ").splitlines() if mentioned in line]
    (words,) = [shlex.split(line, comments=True) for line in lines if line.startswith("python ")]
    return words[1:]


@pytest.fixture(scope="module")
def mylab(launcher: Launcher) -> Path:
    """The package of the page, and a catalogue for its reader."""
    folder = launcher.folder / "extending"
    (folder / "mylab").mkdir(parents=True)
    for block in blocks("python"):
        if name := re.match(r"# (mylab/\w+\.py)\n", block):
            (folder / name[1]).write_text(block, encoding="utf-8")
    (folder / "mylab" / "__init__.py").touch()
    rng = np.random.default_rng(0)
    colours = {"red": (220, 40, 40), "green": (40, 220, 40), "blue": (40, 40, 220)}
    rows = []
    for number in range(60):
        name = list(colours)[number % 3]
        pixels = np.clip(np.array(colours[name]) + rng.integers(-40, 41, (24, 24, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append(json.dumps({"image": f"{number}.png", "title": f"a {name} thing {number}", "tags": [name]}))
    (folder / "products.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def environment(launcher: Launcher, mylab: Path) -> Iterator[dict[str, str]]:
    added = {"AACH_ALLOWED_TARGETS": "mylab.", "AACH_API_KEY": KEY, "AACH_API_KEYS": KEY, "PYTHONPATH": str(mylab)}
    before = dict(launcher.environment)
    launcher.environment.update(added)
    yield launcher.environment
    launcher.environment.clear()
    launcher.environment.update(before)


@pytest.fixture(scope="module")
def address(mylab: Path, environment: dict[str, str]) -> Iterator[str]:
    """Where the system of the page answers, started as the page starts it but for the port."""
    pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
    log = mylab / "log"
    with log.open("w") as file:
        service = subprocess.Popen(
            [sys.executable, "-m", "mylab.system", "0"], cwd=mylab, env=environment, stdout=file, stderr=file
        )
    found, end = None, time.monotonic() + LIMIT
    while found is None and service.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
        found = re.search(r"answering at (http://\S+),", log.read_text())
    try:
        assert found is not None, log.read_text()
        yield found[1]
    finally:
        service.terminate()
        service.wait(LIMIT)


@pytest.fixture(scope="module")
def runs(launcher: Launcher, mylab: Path, environment: dict[str, str], address: str) -> dict[str, Run]:
    commands = {}
    for part in PARTS:
        script, *arguments = command(f"mylab.{part}")
        given = [word.replace("=DIR", f"={mylab}") for word in arguments]
        own_sizes = ("data.pairs", "split.", "budget.") if part == "data.catalogue" else ()
        tiny = ["attack.modality=image", *(word for word in SCENES if not word.startswith(own_sizes))]
        if part == "nets.Patches":
            tiny.remove("image_net@surrogate.image_net=small_cnn")
        commands[part] = (script, (*given, *tiny, *TINY.get(f"mylab.{part}", ())), "extending")
    script, *arguments = command("target.method.url")
    given = [f"target.method.url={address}" if word.startswith("target.method.url=") else word for word in arguments]
    tiny = [word for word in SCENES if not word.startswith(("target.", "data.image_size"))]
    commands["system"] = (script, (*given, *tiny, "data.image_size=96"), "extending")
    script, *arguments = command("stage=target")
    commands["target"] = (script, (*arguments, *SCENES), "extending")
    return dict(zip(commands, launcher.run_forked(list(commands.values())), strict=True))


@pytest.mark.parametrize("part", [*PARTS, "system"])
def test_a_part_of_your_own_attacks(runs: dict[str, Run], part: str) -> None:
    run = runs[part]
    assert run.status == 0, run.errors
    assert {row["query"] for row in run.result["rows"]} >= {"clean", "noise", "attack"}
    attack = next(row for row in run.result["rows"] if row["query"] == "attack" and row["direction"] == "I2T")
    assert 0 < attack["linf"] <= 8 / 255 + 1e-6


def test_a_result_says_which_part_it_was(runs: dict[str, Run]) -> None:
    assert runs["data.catalogue"].result["data"]["name"] == "products"
    assert runs["data.catalogue"].result["data"]["pairs"] == 60
    config = runs["attacks.LeaveTheNearest"].result["config"]["attack"]
    assert config["objective"] == {"_target_": "mylab.attacks.LeaveTheNearest", "arguments": {"share": 0.1}}
    assert "NEAREST, M = 40" in runs["attacks.LeaveTheNearest"].output
    assert runs["mining.Extremes"].result["config"]["mining"]["arguments"] == {"gap": 4}
    assert runs["system"].result["target"]["index_items"] == 320


def test_a_metric_of_your_own_measures_a_target(
    runs: dict[str, Run],
    launcher: Launcher,
    mylab: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert runs["target"].status == 0, runs["target"].errors
    folder = runs["target"].output.split("target: ")[-1].strip()
    option, module, _, *overrides = command("mylab.measure")
    assert option == "-m"
    cache = f"paths.cache={launcher.folder / 'cache'}"
    monkeypatch.syspath_prepend(str(mylab))
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [module, folder, *overrides, *SCENES, cache])
    runpy.run_module(module, run_name="__main__")
    (shown,) = re.findall(r"image to text: ([\d.]+)$", capsys.readouterr().out, re.MULTILINE)
    assert 0 <= float(shown) <= 1
    metrics = importlib.import_module("mylab.metrics")
    generator = torch.Generator().manual_seed(0)
    query, database = (torch.randint(0, 2, (count, 8), generator=generator) * 2 - 1 for count in (20, 50))
    labels = [torch.randint(0, 2, (count, 3), generator=generator) for count in (20, 50)]
    labels[0][:, 0] = 1
    metric = metrics.HammingHitWithin(20, 8, radius=1)
    metric.update(query, labels[0], database, labels[1])
    hits = [
        any(int((query[i] != database[j]).sum()) <= 1 and bool((labels[0][i] * labels[1][j]).any()) for j in range(50))
        for i in range(20)
    ]
    assert 0 < sum(hits) < 20
    assert metric.compute().item() == pytest.approx(sum(hits) / 20)
