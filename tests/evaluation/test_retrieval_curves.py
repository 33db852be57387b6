import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aach_lightning.errors import DataError
from aach_lightning.evaluation.perceptibility import Perceptibility
from aach_lightning.evaluation.protocol import Measurement, Searched
from aach_lightning.evaluation.retrieval_curves import RetrievalCurves, first_ranks, retrieval_curves
from aach_lightning.evaluation.rows import DirectionOutcome

K, QUERIES, DATABASE = 6, 7, 23


@pytest.fixture
def measured() -> tuple[DirectionOutcome, torch.Tensor]:
    rng = np.random.default_rng(5)

    def codes(count: int) -> torch.Tensor:
        return torch.from_numpy(rng.choice([-1, 1], (count, K)).astype(np.int8))

    def labels(count: int) -> torch.Tensor:
        drawn = rng.integers(0, 2, (count, 3)).astype(np.uint8)
        drawn[:, 2] |= drawn.sum(axis=1) == 0
        return torch.from_numpy(drawn)

    nothing = Perceptibility(0.0, 0.0, None, None)
    found = {name: Measurement(codes(QUERIES), 0.5, nothing) for name in ("clean", "attack")}
    row: Any = type("Row", (), {"direction": "I2T"})()
    outcome = DirectionOutcome((row,), found, Searched(codes(DATABASE), labels(DATABASE)), 0.3)  # type: ignore[arg-type]
    return outcome, labels(QUERIES)


def test_curves_are_those_of_a_naive_loop(measured: tuple[DirectionOutcome, torch.Tensor]) -> None:
    outcome, labels = measured
    curves = retrieval_curves([outcome], labels).curves
    assert [(curve.direction, curve.query) for curve in curves] == [("I2T", "clean"), ("I2T", "attack")]
    database, own = outcome.searched.codes.numpy(), outcome.searched.labels.numpy()
    rng = np.random.default_rng(0)
    for curve in curves:
        codes = outcome.measurements[curve.query].codes.numpy()  # type: ignore[index]
        distance = (codes[:, None, :] != database[None, :, :]).sum(axis=2)
        relevant = (labels.numpy()[:, None, :] & own[None, :, :]).any(axis=2)
        for radius in range(K + 1):
            precisions, recalls = [], []
            for query in range(QUERIES):
                within = distance[query] <= radius
                hits = int((within & relevant[query]).sum())
                precisions.append(hits / within.sum() if within.any() else 0.0)
                recalls.append(hits / relevant[query].sum())
            assert curve.precision[radius] == pytest.approx(np.mean(precisions), abs=1e-6)
            assert curve.recall[radius] == pytest.approx(np.mean(recalls), abs=1e-6)
        assert curve.ranks == [1, 2, 5, 10, 20]
        orders = [np.argsort(distance + rng.random(distance.shape), axis=1) for _ in range(4000)]  # ties at random
        hits = np.mean([np.take_along_axis(relevant, order, axis=1) for order in orders], axis=0)
        for rank, value in zip(curve.ranks, curve.precision_at, strict=True):
            assert value == pytest.approx(hits[:, :rank].mean(), abs=0.01)


def test_curves_come_back_as_they_were(measured: tuple[DirectionOutcome, torch.Tensor], tmp_path: Path) -> None:
    curves = retrieval_curves([measured[0]], measured[1])
    curves.save(tmp_path / "curves.json")
    assert RetrievalCurves.load(tmp_path / "curves.json") == curves


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:40],
        lambda text: text.replace("curves/1", "curves/9"),
        lambda text: json.dumps({**json.loads(text), "curves": [{"direction": "I2T"}]}),
        lambda text: text.replace('"I2T"', '"X"'),
        lambda text: json.dumps({**json.loads(text), "curves": [{**json.loads(text)["curves"][0], "ranks": [1]}]}),
        lambda text: json.dumps({**json.loads(text), "curves": [{**json.loads(text)["curves"][0], "recall": ["a"]}]}),
    ],
)
def test_damaged_curves_are_refused(
    damage: Callable[[str], str], measured: tuple[DirectionOutcome, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "curves.json"
    retrieval_curves([measured[0]], measured[1]).save(path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError, match="curves"):
        RetrievalCurves.load(path)


@pytest.mark.parametrize(
    ("database", "ranks"), [(1, [1]), (4, [1, 2]), (10, [1, 2, 5, 10]), (120, [1, 2, 5, 10, 20, 50, 100])]
)
def test_ranks_end_with_the_database(database: int, ranks: list[int]) -> None:
    assert first_ranks(database) == ranks
