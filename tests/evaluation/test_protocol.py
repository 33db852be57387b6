import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import PairBatch, Pairs
from aach_lightning.data.splits import Split
from aach_lightning.evaluation.gallery import top_database
from aach_lightning.evaluation.noise import noise_delta, random_signs
from aach_lightning.evaluation.perceptibility import item_perceptibility, pooled
from aach_lightning.evaluation.protocol import Evaluation, Searched, as_sent, search
from aach_lightning.targets.index import CodeIndex

COUNT = 90
ROWS = np.random.default_rng(5).permutation(COUNT)[:70]  # a batch of 64 and an uneven one of 6


@pytest.fixture
def pairs(make_pairs: Callable[..., Pairs]) -> Pairs:
    return make_pairs(COUNT)


@pytest.fixture
def door(make_door: Callable[[Pairs], Any], pairs: Pairs) -> Any:
    return make_door(pairs)


@pytest.fixture
def evaluate(door: Any, pairs: Pairs, make_experiment: Callable[..., Experiment]) -> Callable[..., Evaluation]:
    """ROWS are the queries, the others are searched."""

    def evaluated(*overrides: str) -> Evaluation:
        batch = pairs.batch(range(COUNT))
        index = CodeIndex(door.image_codes(batch.images), door.text_codes(batch.texts))
        door.images.clear()
        door.texts.clear()
        rest = np.setdiff1d(np.arange(COUNT), ROWS)
        return Evaluation(make_experiment(pairs, Split(ROWS, rest, rest), *overrides), door, index)

    return evaluated


@pytest.fixture
def evaluation(evaluate: Callable[..., Evaluation]) -> Evaluation:
    return evaluate()


def uneven_delta(positions: NDArray[np.int64], batch: PairBatch) -> Tensor:
    """Another change for each item and pixel, inside the range but for what clamping takes; by id, not by position."""
    size = 0.002 * (1 + batch.ids.float() % 9).view(-1, 1, 1, 1)
    return (batch.images + size * torch.linspace(-1, 1, batch.images[0].numel()).view(batch.images[0].shape)).clamp(
        0, 1
    ) - batch.images


def test_images_are_sent_as_8_bit_levels(door: Any, pairs: Pairs, evaluation: Evaluation) -> None:
    evaluation.measure(Modality.image, uneven_delta)
    sent = torch.cat(door.images)
    levels = np.rint(sent.numpy().astype(np.float64) * 255)
    assert np.abs(sent.numpy() - levels / 255).max() < 1e-7
    batch = pairs.batch(ROWS)
    wanted = (batch.images + uneven_delta(np.arange(len(ROWS)), batch)).numpy().astype(np.float64) * 255
    assert np.abs(levels - wanted).max() <= 0.5 + 1e-4
    assert (levels != pairs.images[ROWS]).any()
    assert not door.texts


def test_every_row_is_sent_once_in_order(door: Any, pairs: Pairs, evaluation: Evaluation) -> None:
    seen = []

    def nothing(positions: NDArray[np.int64], batch: PairBatch) -> Tensor:
        seen.append((positions, batch.ids.tolist()))
        return torch.zeros_like(batch.images)

    evaluation.measure(Modality.image, nothing)
    assert np.array_equal(np.rint(torch.cat(door.images).numpy() * 255).astype(np.uint8), pairs.images[ROWS])
    assert [row for _, ids in seen for row in ids] == ROWS.tolist()
    assert all(ROWS[positions].tolist() == ids for positions, ids in seen)
    assert len(seen) > 1


def test_texts_are_sent_as_they_are(door: Any, pairs: Pairs, evaluation: Evaluation) -> None:
    evaluation.measure(Modality.text, lambda positions, batch: torch.full_like(batch.texts, 0.0123))
    assert torch.equal(torch.cat(door.texts), pairs.batch(ROWS).texts + 0.0123)
    assert not door.images


def test_pooled_means_are_those_of_one_pass(door: Any, pairs: Pairs, evaluation: Evaluation) -> None:
    found = evaluation.measure(Modality.image, uneven_delta).perceptibility
    whole = pooled(item_perceptibility(pairs.batch(ROWS).images, torch.cat(door.images)))
    first = pooled(item_perceptibility(pairs.batch(ROWS[:64]).images, door.images[0]))
    last = pooled(item_perceptibility(pairs.batch(ROWS[64:]).images, door.images[1]))
    assert abs(first.rms - last.rms) > 1e-4  # so that equal weights of the two batches would be seen
    assert found.linf == whole.linf
    assert found.rms == pytest.approx(whole.rms, rel=1e-5)
    assert found.psnr == pytest.approx(whole.psnr, rel=1e-5)
    assert found.ssim == pytest.approx(whole.ssim, rel=1e-4)


def test_one_unchanged_image_in_any_batch_leaves_no_psnr(door: Any, pairs: Pairs, evaluation: Evaluation) -> None:
    def delta(positions: NDArray[np.int64], batch: PairBatch) -> Tensor:
        change = uneven_delta(positions, batch)
        change[batch.ids == int(ROWS[66])] = 0
        return change

    found = evaluation.measure(Modality.image, delta).perceptibility
    assert found.psnr is None
    assert found.rms > 0


def test_codes_and_map_belong_to_what_was_sent(
    door: Any, pairs: Pairs, evaluation: Evaluation, naive_map: Callable[..., float]
) -> None:
    found = evaluation.measure(Modality.image, uneven_delta)
    relaxed = ((torch.cat(door.images) - 0.5).flatten(1) @ door.image_weights).numpy()
    assert np.array_equal(found.codes.numpy(), np.where(relaxed >= 0, 1, -1))
    searched = evaluation.searched(Modality.image)
    expected = naive_map(found.codes, pairs.labels[ROWS], searched.codes, searched.labels)
    assert found.map == pytest.approx(expected, abs=1e-12)


def test_map_is_the_mean_over_all_orders_of_the_ties(make_pairs: Callable[..., Pairs]) -> None:
    labels = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], np.uint8)
    pairs = make_pairs(4, classes=2, labels=labels)
    codes = torch.tensor([[1, 1, 1], [-1, 1, -1], [1, -1, -1], [1, 1, 1]], dtype=torch.int8)
    searched_codes = [[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1], [-1, -1, -1]]
    searched_labels = [[1, 0], [0, 1], [1, 0], [0, 1], [1, 1]]
    values = []
    for code, label in zip(codes.tolist(), labels.tolist(), strict=True):
        distances = [sum(a != b for a, b in zip(code, other, strict=True)) for other in searched_codes]
        relevant = [any(a and b for a, b in zip(label, other, strict=True)) for other in searched_labels]
        orders = [o for o in itertools.permutations(range(5)) if [distances[i] for i in o] == sorted(distances)]
        precisions = []
        for order in orders:
            hits = np.array([relevant[item] for item in order])
            if hits.any():
                precisions.append((hits.cumsum() / np.arange(1, 6))[hits].mean())
        if precisions:
            values.append(np.mean(precisions))
    assert len(values) == 3  # the last query shares no label and is left out
    searched = Searched(
        torch.tensor(searched_codes, dtype=torch.int8), torch.tensor(searched_labels, dtype=torch.uint8)
    )
    assert search(codes, pairs, np.arange(4), searched) == pytest.approx(np.mean(values), abs=1e-12)
    some = np.array([2, 0])
    assert search(codes[[2, 0]], pairs, some, searched) == pytest.approx((values[2] + values[0]) / 2, abs=1e-12)


@pytest.mark.parametrize("epsilon", [1, 8, 16])
def test_noise_stays_within_epsilon_after_rounding(door: Any, pairs: Pairs, evaluate: Any, epsilon: int) -> None:
    evaluation = evaluate("seed=7", f"attack.epsilon={epsilon}", "attack.norm=linf")
    evaluation.measure(Modality.image, noise_delta(evaluation.experiment, Modality.image))
    levels = np.rint(torch.cat(door.images).numpy().astype(np.float64) * 255).astype(int)
    clean = pairs.images[ROWS].astype(int)
    assert np.abs(levels - clean).max() == epsilon
    inside = (clean >= epsilon) & (clean <= 255 - epsilon)
    assert (np.abs(levels - clean)[inside] == epsilon).all()  # at full strength where the range allows it
    assert 0.45 < (levels > clean)[inside].mean() < 0.55


@pytest.mark.parametrize(("norm", "size"), [("linf", 0.1), ("l2", 0.1 / 6**0.5)])
def test_noise_on_texts(door: Any, pairs: Pairs, evaluate: Any, norm: str, size: float) -> None:
    evaluation = evaluate("seed=7", "attack.text_epsilon=0.1", f"attack.norm={norm}")
    evaluation.measure(Modality.text, noise_delta(evaluation.experiment, Modality.text))
    sent, clean = torch.cat(door.texts).numpy(), pairs.texts[ROWS].astype(np.float32)
    assert sent.min() >= 0
    assert sent.max() <= 1
    moved = np.abs(sent - clean)
    assert moved.max() == pytest.approx(size, abs=1e-6)  # entries are 0 or 1: half of the signs leave the range
    assert set(np.unique(moved.round(5))) == {0.0, np.float32(round(size, 5))}


@pytest.mark.parametrize("modality", [Modality.image, Modality.text])
def test_signs_depend_on_seed_modality_and_id_alone(pairs: Pairs, modality: Any) -> None:
    rows = [5, 40, 7, 12]
    together = random_signs(0, modality, pairs.batch(rows))
    alone = torch.cat([random_signs(0, modality, pairs.batch([row])) for row in reversed(rows)]).flip(0)
    assert torch.equal(together, alone)
    assert set(together.unique().tolist()) == {-1.0, 1.0}
    assert not torch.equal(together, random_signs(1, modality, pairs.batch(rows)))
    assert not torch.equal(together[0], together[1])
    batch = pairs.batch(rows)
    assert together.shape == (batch.images if modality == Modality.image else batch.texts).shape


def test_rounding_is_for_images_only() -> None:
    assert (as_sent(torch.full((1, 3, 1, 1), 0.3), Modality.image) * 255).flatten().tolist() == pytest.approx([76] * 3)
    assert as_sent(torch.tensor([[0.3]]), Modality.text).tolist() == torch.tensor([[0.3]]).tolist()


def test_top_database_keeps_the_order_of_the_database_in_ties() -> None:
    codes = torch.tensor([[1, 1, 1], [-1, -1, -1]], dtype=torch.int8)
    searched = torch.tensor([[1, 1, -1], [-1, -1, -1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], dtype=torch.int8)
    # distances of the first query: 1 3 1 0 1; of the second: 2 0 2 3 2
    found = top_database(codes, Searched(searched, torch.zeros(5, 1)), 4)
    assert found.tolist() == [[3, 0, 2, 4], [1, 0, 2, 4]]


def test_top_database_of_a_small_database() -> None:
    codes = torch.ones(1, 3, dtype=torch.int8)
    assert top_database(codes, Searched(torch.ones(2, 3, dtype=torch.int8), torch.zeros(2, 1)), 5).tolist() == [[0, 1]]
