import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aach_lightning.config.schema import RunConfig
from aach_lightning.evaluation.gallery import Exhibit, Found
from aach_lightning.evaluation.result import Result
from aach_lightning.reports import tracking
from aach_lightning.runtime.wandb_run import Table
from tests.reports.test_table import AGREEMENT, row

DEPENDS_ON = {"config": {}, "data": {"name": "scenes", "hash": "d4ta", "split": "sp1it"}}


def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Mapping[str, float], Mapping[str, Table]]]:
    found: list[tuple[Mapping[str, float], Mapping[str, Table]]] = []
    monkeypatch.setattr(tracking, "log_outcome", lambda numbers, tables: found.append((numbers, tables)))
    return found


def test_a_job_has_the_configuration_as_plain_values_and_the_hashes(
    compose_toy: Callable[..., RunConfig], tmp_path: Path
) -> None:
    config = compose_toy("seed=7", "attack.epsilon=4", "logger=wandb_offline")
    job = tracking.make_job(config, "attack", DEPENDS_ON, tmp_path)
    assert json.loads(json.dumps(job.config)) == job.config
    assert job.config["attack"]["gradient"]["diversity"] == {"probability": 1.0, "smallest": 0.9}
    assert type(job.config["logger"]["name"]) is str
    assert (job.config["data_hash"], job.config["split_hash"], len(job.config["key"])) == ("d4ta", "sp1it", 32)
    assert (job.kind, job.group, job.memory, job.output) == ("attack", None, tmp_path, Path(config.paths.output))


@pytest.mark.parametrize(
    ("kind", "name"), [("target", "K=16 seed=0"), ("surrogate", "M=30 seed=7"), ("attack", "M=30 eps=4 seed=7")]
)
def test_a_job_is_named_by_what_decides_it(
    compose_toy: Callable[..., RunConfig], tmp_path: Path, kind: str, name: str
) -> None:
    assert tracking.make_job(compose_toy("seed=7", "attack.epsilon=4"), kind, DEPENDS_ON, tmp_path).name == name


def test_a_job_of_a_multirun_is_named_by_its_overrides(
    toy_config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ["experiment=demo", "logger=wandb", "paths.store=a/b", "++logger.project=x", "mining=rank", "seed=1"]
    monkeypatch.setattr(tracking, "sweep_overrides", lambda: overrides)
    monkeypatch.setattr(tracking, "sweep_name", lambda: "2030-01-01_1")
    job = tracking.make_job(toy_config, "attack", DEPENDS_ON, tmp_path)
    assert (job.name, job.group) == ("experiment=demo mining=rank seed=1", "2030-01-01_1")
    overrides += [f"target.text_net.backbone.width={number}" for number in range(40)]
    assert len(tracking.make_job(toy_config, "attack", DEPENDS_ON, tmp_path).name) == 128


def outcome() -> Result:
    rows = (
        row("I2T", "clean", 0.75),
        row("I2T", "attack", 0.5, psnr=31.5, ssim=0.9, pairs_queried=500),
        row("T2I", "clean", 0.625),
    )
    queries = {"budget_pairs": 500, "spent_pairs": 480, "spent_items": 12, "evaluation_items": 99}
    target = {"kept_epoch": 4, "validation_map": {"i2t": 0.7, "t2i": 0.6}}
    return Result(
        rows, {"I2T": 0.25, "T2I": 0.125}, target, AGREEMENT, queries, {}, {"attack": {"epsilon": 8.0}}, 0, {}
    )


def test_numbers_of_a_result_have_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sent(monkeypatch)
    tracking.track_result(outcome())
    numbers, _ = found[0]
    expected = {
        "result/I2T/clean/map": 0.75,
        "result/I2T/attack/map": 0.5,
        "result/I2T/attack/psnr": 31.5,
        "result/I2T/attack/pairs_queried": 500,
        "result/T2I/clean/map": 0.625,
        "result/I2T/chance": 0.25,
        "result/T2I/chance": 0.125,
        "queries/budget_pairs": 500,
        "queries/spent_pairs": 480,
        "queries/spent_items": 12,
        "queries/evaluation_items": 99,
        "report/target/kept_epoch": 4,
        "report/target/validation_map/i2t": 0.7,
        "report/surrogate/bit_agreement_image": 0.812,
    }
    assert numbers.items() >= expected.items()
    assert "result/I2T/clean/psnr" not in numbers  # there is none
    assert all(isinstance(value, int | float) for value in numbers.values())


def test_the_table_has_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sent(monkeypatch)
    tracking.track_result(outcome())
    _, tables = found[0]
    assert set(tables) == {"result/table"}
    table = tables["result/table"]
    read = [dict(zip(table.columns, cells, strict=True)) for cells in table.rows]
    assert [(cells["direction"], cells["query"], cells["map"]) for cells in read] == [
        ("I2T", "clean", 0.75),
        ("I2T", "attack", 0.5),
        ("T2I", "clean", 0.625),
    ]
    assert [cells["psnr"] for cells in read] == [None, 31.5, None]
    assert read[1]["needs"] == "codes"


def test_the_gallery_shows_what_was_sent_and_the_change_in_full_contrast(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = np.array([[0, 128], [200, 255]])
    changes = np.array([[8, -8], [0, -4]])
    clean, adversarial = (np.stack([image] * 3).astype(np.float32) / 255 for image in (levels, levels + changes))
    before, after = (Found("a dog", True), Found("a cat", False)), (Found("a bus", False),)
    found = sent(monkeypatch)
    tracking.track_result(outcome(), [Exhibit("pair-3", clean, adversarial, before, after, 5)])
    table = found[0][1]["result/gallery"]
    (cells,) = [dict(zip(table.columns, cells, strict=True)) for cells in table.rows]
    pictures: dict[str, Any] = {name: cells[name] for name in ("clean", "perturbation", "adversarial")}
    for picture in pictures.values():
        assert (picture.shape, picture.dtype) == ((2, 2, 3), np.uint8)
    assert np.array_equal(pictures["clean"][:, :, 1], levels)
    assert np.array_equal(pictures["adversarial"][:, :, 1], levels + changes)
    # +8 of 8 is white, -8 black, 0 and -4 half and a quarter of 255, up to rounding
    assert np.abs(pictures["perturbation"][:, :, 1].astype(float) - [[255, 0], [127.5, 63.75]]).max() <= 0.51
    assert cells["bits moved"] == 5
    assert cells["texts, clean"] == "● a dog\n○ a cat"
    assert cells["texts, adversarial"] == "○ a bus"
    assert cells["name"] == "pair-3"


def test_reports_of_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sent(monkeypatch)
    tracking.track_reports({"target": {"kept_epoch": 2, "bit_balance": {"image": 0.5}}})
    assert found == [({"report/target/kept_epoch": 2, "report/target/bit_balance/image": 0.5}, {})]
