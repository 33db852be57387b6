from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split, make_split
from aach_lightning.evaluation.attackers import Crafted
from aach_lightning.evaluation.protocol import Evaluation
from aach_lightning.evaluation.result import Query
from aach_lightning.evaluation.rows import DirectionOutcome, measure_direction
from aach_lightning.evaluation.targeted import Aim
from aach_lightning.perturbations.space import Space
from aach_lightning.targets.index import CodeIndex

SPACES = {Modality.image: Space(8 / 255, "linf", 0.0, 1.0), Modality.text: Space(0.1, "linf", 0.0, 1.0)}


@pytest.fixture
def pairs(make_pairs: Callable[..., Pairs]) -> Pairs:
    return make_pairs(60)


@pytest.fixture
def split() -> Split:
    return make_split(60, 20, 20, seed=1)


@pytest.fixture
def door(make_door: Callable[[Pairs], Any], pairs: Pairs) -> Any:
    return make_door(pairs)


@pytest.fixture
def index(door: Any, pairs: Pairs) -> CodeIndex:
    batch = pairs.batch(range(len(pairs)))
    found = CodeIndex(door.image_codes(batch.images), door.text_codes(batch.texts))
    door.images.clear()
    door.texts.clear()
    return found


@pytest.fixture
def outcome(
    door: Any, index: CodeIndex, pairs: Pairs, split: Split, make_experiment: Callable[..., Experiment]
) -> Callable[..., DirectionOutcome]:
    def compute(
        modality: Modality,
        deltas: dict[Query, Tensor],
        paid: tuple[int, int] = (0, 0),
        aim: Aim | None = None,
        overrides: tuple[str, ...] = (),
    ) -> DirectionOutcome:
        crafted: dict[Query, Crafted] = {}
        for query, delta in deltas.items():
            black = query == "attack"
            crafted[query] = Crafted(delta, "codes" if black else "weights", black, *(paid if black else (0, 0)))
        attacked = replace(split, query=split.query[:12])
        experiment = make_experiment(pairs, attacked, "attack.epsilon=8", "attack.text_epsilon=0.1", *overrides)
        return measure_direction(Evaluation(experiment, door, index), modality, crafted, aim)

    return compute


def swap(pairs: Pairs, split: Split, modality: str, shift: int) -> Tensor:
    """A change that turns each query into another one."""
    batch = pairs.batch(split.query[:12])
    inputs = batch.images if modality == Modality.image else batch.texts
    return inputs.roll(shift, 0) - inputs


@pytest.mark.parametrize(("modality", "direction"), [(Modality.image, "I2T"), (Modality.text, "T2I")])
def test_rows_against_a_naive_computation(
    modality: str,
    direction: str,
    outcome: Callable[..., DirectionOutcome],
    door: Any,
    index: CodeIndex,
    pairs: Pairs,
    split: Split,
    naive_map: Callable[..., float],
) -> None:
    deltas = {"attack": swap(pairs, split, modality, 3), "white_box": swap(pairs, split, modality, 5)}
    found = outcome(modality, deltas, (40, 12))
    own, other = (index.image_codes, index.text_codes)[:: 1 if modality == Modality.image else -1]
    rows = split.query[:12]
    labels, searched = pairs.labels[rows], (other[split.database], pairs.labels[split.database])
    sent = door.images if modality == Modality.image else door.texts
    assert len(sent) == 3  # clean queries are not sent again
    hashed = [
        (x - 0.5).flatten(1) @ (door.image_weights if modality == Modality.image else door.text_weights) for x in sent
    ]
    codes = {"clean": own[rows], **dict(zip(("noise", "attack", "white_box"), hashed, strict=True))}
    codes = {name: torch.where(value >= 0, 1, -1).to(torch.int8) for name, value in codes.items()}
    assert np.array_equal(codes["attack"].numpy(), np.roll(own[rows].numpy(), 3, axis=0))
    maps = {name: naive_map(value, labels, *searched) for name, value in codes.items()}
    bound = maps["clean"] - maps["white_box"]
    assert abs(bound) > 1e-3
    assert [row.query for row in found.rows] == ["clean", "noise", "attack", "white_box"]
    assert {row.direction for row in found.rows} == {direction}
    for row in found.rows:
        name = row.query
        drop = maps["clean"] - maps[name]
        assert row.map == pytest.approx(maps[name], abs=1e-12)
        assert row.drop == pytest.approx(drop, abs=1e-12)
        if name == "clean" or bound <= 0:
            assert row.share_of_white_box is None
        else:
            assert row.share_of_white_box == pytest.approx(drop / bound, abs=1e-9)
        moved = (codes["clean"].numpy() != codes[name].numpy()).sum(axis=1).mean()
        assert row.distance == pytest.approx(moved)
        assert row.epsilon == (0.0 if name == "clean" else SPACES[modality].epsilon)
        assert (row.pairs_queried, row.items_queried) == ((40, 12) if name == "attack" else (0, 0))
    assert [row.labels for row in found.rows] == [False, False, True, False]
    assert [row.needs for row in found.rows] == ["nothing", "nothing", "codes", "weights"]
    constant = naive_map(torch.ones(12, 1), labels, torch.ones(len(split.database), 1), searched[1])
    assert found.chance == pytest.approx(constant, abs=1e-12)


def test_shares_are_of_the_white_box_drop(outcome: Callable[..., DirectionOutcome], pairs: Pairs, split: Split) -> None:
    candidates = [swap(pairs, split, Modality.image, shift) for shift in range(1, 12)]
    drops = [outcome(Modality.image, {"attack": delta}).rows[2].drop for delta in candidates]
    strongest, weakest = int(np.argmax(drops)), int(np.argmin(drops))
    assert drops[strongest] > 0
    found = outcome(Modality.image, {"attack": candidates[weakest], "white_box": candidates[strongest]}).rows
    assert found[3].share_of_white_box == 1.0
    assert found[2].share_of_white_box == pytest.approx(drops[weakest] / drops[strongest])
    assert found[0].share_of_white_box is None
    # a white box that made retrieval no worse is no bound
    for bound in (
        candidates[weakest] if drops[weakest] <= 0 else torch.zeros(12, 3, 16, 16),
        torch.zeros(12, 3, 16, 16),
    ):
        found = outcome(Modality.image, {"attack": candidates[strongest], "white_box": bound}).rows
        assert [row.share_of_white_box for row in found] == [None] * 4


def test_no_share_without_a_white_box(outcome: Callable[..., DirectionOutcome], pairs: Pairs, split: Split) -> None:
    found = outcome(Modality.image, {"attack": swap(pairs, split, Modality.image, 1)})
    assert [row.query for row in found.rows] == ["clean", "noise", "attack"]
    assert [row.share_of_white_box for row in found.rows] == [None] * 3


def test_clean_rows_and_no_change(outcome: Callable[..., DirectionOutcome]) -> None:
    clean, _, attack = outcome(Modality.image, {"attack": torch.zeros(12, 3, 16, 16)}).rows
    assert (clean.drop, clean.distance, clean.linf, clean.rms, clean.psnr, clean.ssim) == (0, 0, 0, 0, None, None)
    assert (attack.map, attack.drop, attack.distance, attack.rms, attack.psnr) == (clean.map, 0, 0, 0, None)


def test_two_measurements_are_equal(outcome: Callable[..., DirectionOutcome], pairs: Pairs, split: Split) -> None:
    deltas = {"attack": swap(pairs, split, Modality.text, 2)}
    assert outcome(Modality.text, deltas).rows == outcome(Modality.text, deltas).rows


def test_a_wanted_label_is_measured_beside(
    outcome: Callable[..., DirectionOutcome],
    pairs: Pairs,
    split: Split,
    index: CodeIndex,
    naive_map: Callable[..., float],
) -> None:
    rows, database = split.query[:12], split.database
    wanted = torch.zeros(12, 3, dtype=torch.uint8)
    wanted[:, 1] = 1
    found = outcome(Modality.image, {"attack": swap(pairs, split, Modality.image, 3)}, aim=Aim(wanted, None, None))
    kept = np.flatnonzero(pairs.labels[rows][:, 1] == 0)
    assert 0 < len(kept) < 12
    searched, labels = index.text_codes[database], pairs.labels[database]
    by_query = {row.query: row.targeted_map for row in found.rows}
    for query, codes in (("clean", index.image_codes[rows]), ("attack", found.measurements["attack"].codes)):
        assert by_query[query] == pytest.approx(naive_map(codes[kept], wanted[kept], searched, labels), abs=1e-9)
    constant = torch.ones_like(searched)
    assert found.targeted_chance == pytest.approx(naive_map(constant[kept], wanted[kept], constant, labels), abs=1e-9)
    plain = outcome(Modality.image, {"attack": swap(pairs, split, Modality.image, 3)})
    assert plain.targeted_chance is None
    assert [replace(row, targeted_map=None) for row in found.rows] == list(plain.rows)


def test_edited_texts_are_sent_whole_and_their_words_counted(
    outcome: Callable[..., DirectionOutcome], pairs: Pairs, split: Split, door: Any
) -> None:
    texts = torch.from_numpy(pairs.texts[split.query[:12]].astype(np.float32))
    attack = torch.zeros_like(texts)
    attack[:, 2] = 1 - 2 * texts[:, 2]
    found = outcome(Modality.text, {"attack": attack}, overrides=("attack=aach_edits", "attack.edits=4"))
    noise, sent = door.texts
    assert torch.equal(sent, texts + attack)
    assert set(noise.unique().tolist()) == {0.0, 1.0}
    changed = (noise != texts).sum(dim=1).double()
    assert changed.tolist() == [4.0] * 12
    assert {row.query: row.words for row in found.rows} == {"clean": None, "noise": 4.0, "attack": 1.0}
    assert {row.query: row.epsilon for row in found.rows} == {"clean": 0.0, "noise": 4.0, "attack": 4.0}
