"""Runs killed at chosen moments of every stage, on one store, end as a run that was never killed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[2]
BUDGET = 40
COMMAND = (
    "image_net@target.image_net=small_cnn",
    "image_net@surrogate.image_net=small_cnn",
    "data.pairs=160",
    "data.image_size=32",
    "split.query=30",
    "split.train=80",
    f"budget.pairs={BUDGET}",
    "target.code_length=16",
    "target.epochs=2",
    "surrogate.epochs=2",
    "attack.steps=3",
    "attack.batch_size=4",
    "evaluation.queries=12",
    "evaluation.white_box=false",
)
# What the process was about to do when it was killed, and for which time. In the order in which a run does it.
MOMENTS = (
    (r"os.rename target/.*/last\.ckpt", 1),  # training the target, before the first checkpoint is there
    (r"open target/.*\.best\.ckpt", 2),
    (r"os.rename target/.*/index", 1),
    (r"os.rename target/[0-9a-f]{32}$", 1),  # complete, but not yet an artifact
    (r"os.rename ledger/", 1),  # querying
    (r"open surrogate/.*\.answers", 1),  # paid and answered, the answers not yet with the surrogate
    (r"open surrogate/.*\.last\.ckpt", 2),
    (r"os.rename surrogate/.*/spent", 1),
    (r"os.rename surrogate/[0-9a-f]{32}$", 1),
    (r"open attack/.*\.batch-00001", 1),  # crafting
    (r"os.remove attack/.*/batch-00001", 1),
    (r"open attack/.*\.artifact", 2),
    (r"open result/.*\.split", 1),  # evaluated
    (r"os.rename result/.*/result\.json", 1),
    (r"os.rename result/[0-9a-f]{32}$", 1),
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork"),
    pytest.mark.timeout(600),
]


@dataclass(frozen=True)
class Campaign:
    """A store, and what came of the runs on it."""

    folder: Path
    statuses: list[int]

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def results(self) -> list[dict[str, Any]]:
        """Results without what a clock decides."""
        found = [json.loads(path.read_text()) for path in sorted(self.folder.glob("*/result.json"))]
        return [{key: value for key, value in result.items() if key != "stages"} for result in found]

    def trace(self, number: int) -> list[str]:
        return (self.folder / f"{number}.trace").read_text().splitlines()

    @property
    def tensors(self) -> dict[str, dict[str, bytes]]:
        files = self.store.glob("*/*/*.safetensors")
        return {
            str(file.relative_to(self.store)): {name: values.tobytes() for name, values in load_file(file).items()}
            for file in files
        }


def campaign(
    folder: Path, cache: Path, moments: tuple[tuple[str | None, int], ...], overrides: tuple[str, ...] = ()
) -> Campaign:
    folder.mkdir()
    commands = [
        {
            "script": "attack.py",
            "arguments": [
                *COMMAND,
                *overrides,
                f"paths.store={folder / 'store'}",
                f"paths.cache={cache}",
                f"hydra.run.dir={folder / f'run-{number}'}",
            ],
            "output": str(folder / f"{number}.output"),
            "errors": str(folder / f"{number}.errors"),
            "store": str(folder / "store"),
            "trace": str(folder / f"{number}.trace"),
            "place": place,
            "number": count,
        }
        for number, (place, count) in enumerate(moments)
    ]
    request, answer = folder / "request", folder / "answer"
    request.write_text(json.dumps(commands))
    subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killed.py")), str(request), str(answer)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        timeout=550,
        check=True,
    )
    return Campaign(folder, json.loads(answer.read_text()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("killed")


@pytest.fixture(scope="module")
def unkilled(folder: Path) -> Campaign:
    return campaign(folder / "unkilled", folder / "cache", ((None, 0),))


@pytest.fixture(scope="module")
def killed(folder: Path, unkilled: Campaign) -> Campaign:
    return campaign(folder / "killed", folder / "cache", (*MOMENTS, (None, 0)))


def test_each_kill_hit_the_moment_that_was_meant(killed: Campaign) -> None:
    errors = (killed.folder / f"{len(MOMENTS)}.errors").read_text()
    assert killed.statuses == [-signal.SIGKILL] * len(MOMENTS) + [0], errors


def test_it_ends_with_the_same_result(killed: Campaign, unkilled: Campaign) -> None:
    assert unkilled.statuses == [0]
    assert len(killed.results) == 1  # a killed run leaves none
    assert killed.results == unkilled.results
    assert killed.results[0]["queries"]["spent_pairs"] == BUDGET


def test_it_ends_with_the_same_bits(killed: Campaign, unkilled: Campaign) -> None:
    assert len(unkilled.tensors) == 6
    assert killed.tensors == unkilled.tensors


def test_nothing_half_written_is_left(killed: Campaign) -> None:
    names = [path.name for path in killed.store.rglob("*")]
    assert not [name for name in names if name.endswith((".building", ".part", ".ckpt"))]


def test_no_stage_was_built_twice(killed: Campaign) -> None:
    finished = [
        line
        for number in range(len(MOMENTS) + 1)
        for line in killed.trace(number)[: -1 if number < len(MOMENTS) else None]
        if line.startswith("os.rename ") and line.rsplit("/", 1)[-1].isalnum() and len(line.rsplit("/", 1)[-1]) == 32
    ]
    assert [line.split()[1].split("/")[0] for line in finished] == ["target", "surrogate", "attack", "attack", "result"]
