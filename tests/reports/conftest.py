"""Results by hand: a run is what a test says it measured, with an ordinary configuration around it."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from aach_lightning.evaluation.card import Card
from aach_lightning.evaluation.result import Result, Row
from aach_lightning.reports.build import build
from aach_lightning.reports.frame import flatten, identity, rows_of, to_frame
from aach_lightning.reports.summary import summarise
from tests.reports.page_folder import fill

CONFIG: dict[str, Any] = {
    "seed": 0,
    "data": {"_target_": "aach_lightning.scenes.procedural.procedural_pairs", "name": "scenes", "seed": 0},
    "split": {"name": "random", "query": 30, "train": 80, "seed": 0},
    "target": {
        "name": "dcmh",
        "code_length": 16,
        "image_net": {"backbone": {"_target_": "networks.EfficientNetLite", "variant": 2, "weights": None}},
        "text_net": {"backbone": {"_target_": "networks.TextMLP", "width": 1024}},
        "seed": 0,
    },
    "budget": {"pairs": 20},
    "mining": {"_target_": "aach_lightning.mining.miners.GapMiner", "gap": 4},
    "surrogate": {
        "image_net": {"backbone": {"_target_": "networks.SmallCNN"}},
        "text_net": {"backbone": {"_target_": "networks.TextMLP", "width": 1024}},
    },
    "attack": {"name": "aach", "modality": "both", "epsilon": 8.0, "text_epsilon": 0.1},
    "trainer": {"devices": 1},
    "logger": {"name": "none"},
}
NEEDS = {"attack": "codes", "white_box": "weights"}


def make_run(maps: dict[str, float] | None = None, data: dict[str, Any] | None = None, **overrides: Any) -> Result:
    """A run.

    Args:
        maps: MAP by "DIRECTION query"; other rows are absent.
        data: Changes in what the result says of its data.
        overrides: Of the configuration, with double underscores for dots.
    """
    config = copy.deepcopy(CONFIG)
    for key, value in overrides.items():
        *groups, name = key.split("__")
        part = config
        for group in groups:
            part = part.setdefault(group, {})
        part[name] = value
    maps = {"I2T clean": 0.8, "I2T attack": 0.5} if maps is None else maps
    clean = {key.split()[0]: value for key, value in maps.items() if key.endswith("clean")}
    rows = []
    for key, value in maps.items():
        direction, query = key.split()
        image = direction == "I2T"
        bound = config["attack"]["epsilon"] / 255 if image else config["attack"]["text_epsilon"]
        rows.append(
            Row(
                direction=direction,  # type: ignore[arg-type]
                query=query,  # type: ignore[arg-type]
                map=value,
                drop=clean.get(direction, value) - value,
                share_of_white_box=0.5 if query == "attack" else None,
                distance=0.0 if query == "clean" else 2.5,
                epsilon=0.0 if query == "clean" else bound,
                linf=0.03,
                rms=0.02,
                psnr=31.25 if image else None,
                ssim=0.93 if image else None,
                pairs_queried=config["budget"]["pairs"] if query == "attack" else 0,
                items_queried=0,
                needs=NEEDS.get(query, "nothing"),  # type: ignore[arg-type]
                labels=False,
            )
        )
    return Result(
        rows=tuple(rows),
        chance=dict.fromkeys((row.direction for row in rows), 0.25),
        target={},
        surrogate={},
        queries={"budget_pairs": config["budget"]["pairs"]},
        data={
            "name": config["data"]["name"],
            "note": "",
            "pairs": 160,
            "attacked": 12,
            "train": 80,
            "database": 130,
            "hash": "0123",
            "split_hash": "4567",
            **(data or {}),
        },
        config=config,
        seed=config["seed"],
        versions={},
        stages={
            "data": {"seconds": 0.5, "peak_memory_mib": 9.0},
            "attack image": {"seconds": 1.25, "peak_memory_mib": 9.0},
        },
    )


def write_job(
    folder: Path,
    overrides: list[str],
    config: dict[str, Any] | None = None,
    config_name: str = "attack",
    error: str | None = None,
) -> None:
    """What Hydra leaves in a job's folder, and what a failure adds."""
    hidden = folder / ".hydra"
    hidden.mkdir(parents=True, exist_ok=True)
    paths = {"paths": {"store": "outputs/store", "output": "${hydra:runtime.output_dir}"}}
    (hidden / "config.yaml").write_text(yaml.safe_dump({**(config or CONFIG), **paths}))
    (hidden / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    (hidden / "hydra.yaml").write_text(yaml.safe_dump({"hydra": {"job": {"config_name": config_name}}}))
    if error is not None:
        (folder / "error.txt").write_text(error, encoding="utf-8")


def write_sweep(folder: Path, task: list[str], sweeper: str = "basic_sweeper.BasicSweeper", **more: Any) -> None:
    """What Hydra's sweeper writes before its first job."""
    hydra = {
        "sweeper": {"_target_": f"hydra._internal.core_plugins.{sweeper}", "params": None, **more},
        "overrides": {"task": task},
        "job": {"config_name": "attack", "num": "???"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "multirun.yaml").write_text(yaml.safe_dump({"hydra": hydra}))


def frame_of(results: Sequence[Result]) -> pd.DataFrame:
    """The table of runs that no file holds."""
    rows = [row for number, result in enumerate(results) for row in rows_of(f"{number}/result.json", result)]
    return to_frame(rows, {identity(result): flatten(result.config) for result in results})


def summary_of(results: Sequence[Result], over: Sequence[str] = ("seed",)) -> pd.DataFrame:
    return summarise(frame_of(results), over)


@pytest.fixture
def run() -> Callable[..., Result]:
    return make_run


@pytest.fixture
def job() -> Callable[..., None]:
    return write_job


@pytest.fixture
def sweep() -> Callable[..., None]:
    return write_sweep


def make_card(method: str, value: float, query: str = "attack", seed: int = 0, **changes: Any) -> Card:
    """A card of image queries: clean MAP 0.8, noise 0.78, bound 0.3 where a test says nothing else.

    Args:
        method: Name in the plan.
        value: MAP.
        query: Kind of the row.
        seed: Of the attacker.
        changes: Of the card; those of its row begin with `row_`.
    """
    row = {
        "direction": "I2T",
        "query": query,
        "map": value,
        "drop": 0.8 - value,
        "share_of_white_box": None,
        "distance": 0.0 if query == "clean" else 3.0,
        "epsilon": 8 / 255,
        "linf": 8 / 255,
        "rms": 0.02,
        "psnr": 33.0,
        "ssim": 0.9,
        "pairs_queried": 500 if query == "attack" else 0,
        "items_queried": 0,
        "needs": NEEDS.get(query, "nothing"),
        "labels": False,
        **{key.removeprefix("row_"): new for key, new in changes.items() if key.startswith("row_")},
    }
    values: dict[str, Any] = {
        "method": method,
        "row": Row(**row),
        "setting": {"budget.pairs": "500"},
        "seed": seed,
        "budget_pairs": 500,
        "budget_items": 0,
        "norm": "linf",
        "epsilon": 8.0,
        "text_epsilon": 0.1,
        "chance": 0.25,
        "target": {
            "name": "dcmh",
            "code_length": 32,
            "defence": {"_target_": "torch.nn.Identity"},
            "adversarial": {"method": "none"},
        },
        "data": {
            **{"name": "photos", "note": "", "protocol": "random", "pairs": 60, "attacked": 200},
            **{"hash": "0", "split_hash": "1"},
        },
        "seconds": 2.0,
        "overrides": [f"attack={method}", "paths.store=/somewhere"],
        "versions": {"torch": "2"},
        "hardware": "a machine",
        "answer": {"name": "codes"},
    }
    return Card(**(values | {key: new for key, new in changes.items() if not key.startswith("row_")}))


@pytest.fixture(scope="session")
def card() -> Callable[..., Card]:
    return make_card


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a report on everything that a page can show, with hostile names; what it is made of lies beside it."""
    folder = tmp_path_factory.mktemp("report")
    fill(folder / "runs", make_run, write_job, make_card)
    build(folder / "runs", folder / "report")
    return folder / "report"
