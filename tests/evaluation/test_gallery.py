from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split
from aach_lightning.evaluation.gallery import Exhibit, attack_gallery
from aach_lightning.evaluation.perceptibility import Perceptibility
from aach_lightning.evaluation.protocol import Measurement, Searched

NOTHING = Perceptibility(0.0, 0.0, None, None)
MOVED = [3, 0, 8, 1, 5, 2, 7]  # bits by which each query's code is moved
ROWS = np.array([11, 4, 29, 0, 17, 8, 23])
DATABASE = np.array([21, 3, 9, 28, 14, 1, 26, 6, 19, 12])


@pytest.fixture
def pairs(make_pairs: Callable[..., Pairs]) -> Pairs:
    return make_pairs(30)


def codes(count: int, seed: int) -> torch.Tensor:
    return torch.randint(0, 2, (count, 8), generator=torch.Generator().manual_seed(seed)).to(torch.int8) * 2 - 1


@pytest.fixture
def gallery(pairs: Pairs, make_experiment: Callable[..., Experiment]) -> Callable[..., list[Exhibit]]:
    def shown(count: int, top: int = 5) -> list[Exhibit]:
        clean = codes(len(ROWS), 0)
        attacked = clean.clone()
        for position, bits in enumerate(MOVED):
            attacked[position, :bits] *= -1
        searched = Searched(codes(len(DATABASE), 1), torch.from_numpy(pairs.labels[DATABASE]))
        measured = {"clean": Measurement(clean, 0.5, NOTHING), "attack": Measurement(attacked, 0.4, NOTHING)}
        images = pairs.batch(ROWS).images
        split = Split(ROWS, DATABASE, DATABASE)
        experiment = make_experiment(pairs, split, f"evaluation.picture_rows={count}")
        outcome: Any = SimpleNamespace(measurements=measured, searched=searched)
        return attack_gallery(experiment, outcome, images.flip(0) - images, top)

    return shown


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, [0]), (2, [0, 8]), (3, [0, 3, 8]), (4, [0, 2, 5, 8]), (7, sorted(MOVED)), (20, sorted(MOVED))],
)
def test_exhibits_stand_at_even_ranks_from_least_to_most_moved(
    gallery: Callable[..., list[Exhibit]], count: int, expected: list[int]
) -> None:
    found = gallery(count)
    assert [exhibit.moved for exhibit in found] == expected
    assert [exhibit.name for exhibit in found] == [f"pair-{ROWS[MOVED.index(bits)]}" for bits in expected]


def test_pictures_belong_to_their_query(pairs: Pairs, gallery: Callable[..., list[Exhibit]]) -> None:
    for exhibit in gallery(7):
        position = MOVED.index(exhibit.moved)
        assert np.array_equal(np.rint(exhibit.clean * 255), pairs.images[ROWS[position]])
        assert np.array_equal(np.rint(exhibit.adversarial * 255), pairs.images[ROWS[-1 - position]])


def test_found_texts_and_their_marks(pairs: Pairs, gallery: Callable[..., list[Exhibit]]) -> None:
    clean, searched = codes(len(ROWS), 0).tolist(), codes(len(DATABASE), 1).tolist()
    marks = set()
    for exhibit in gallery(7, top=4):
        position = MOVED.index(exhibit.moved)
        own = {column for column in range(3) if pairs.labels[ROWS[position], column]}
        for flipped, found in ((0, exhibit.before), (exhibit.moved, exhibit.after)):
            code = [-bit if place < flipped else bit for place, bit in enumerate(clean[position])]
            distances = [sum(a != b for a, b in zip(code, other, strict=True)) for other in searched]
            nearest = sorted(range(len(DATABASE)), key=lambda item: (distances[item], item))[:4]
            assert [hit.text for hit in found] == [f"caption {DATABASE[item]}" for item in nearest]
            relevant = [any(pairs.labels[DATABASE[item], column] for column in own) for item in nearest]
            assert [hit.relevant for hit in found] == relevant
            marks |= set(relevant)
    assert marks == {True, False}
