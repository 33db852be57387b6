import inspect

import pytest
import torch
from torch import Tensor

from aach_lightning.mining import epoch as epoch_module
from aach_lightning.mining.epoch import MinedBatch, code_distances, mine_epoch
from aach_lightning.mining.miners import GapMiner, Miner, RandomMiner, RankMiner
from aach_lightning.mining.triplets import Triplets

PAIRS, BITS = 23, 10
MINERS = [GapMiner(3), RankMiner(0.2, 0.5, 3), RandomMiner(3)]


@pytest.fixture
def codes() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images, texts = torch.randint(0, 2, (2, PAIRS, BITS), generator=generator, dtype=torch.int8) * 2 - 1
    return images, texts


def counted(first: Tensor, second: Tensor) -> int:
    return sum(int(a != b) for a, b in zip(first.tolist(), second.tolist(), strict=True))


def content(batches: list[MinedBatch]) -> list[list[list[int]]]:
    return [
        [
            batch.rows.tolist(),
            *[part.tolist() for t in (batch.image_anchored, batch.text_anchored) for part in vars(t).values()],
        ]
        for batch in batches
    ]


@pytest.mark.parametrize("miner", MINERS, ids=lambda miner: type(miner).__name__)
def test_an_epoch_is_a_function_of_seed_and_epoch(codes: tuple[Tensor, Tensor], miner: Miner) -> None:
    first = content(mine_epoch(code_distances(*codes), miner, 5, seed=1, epoch=3))
    torch.manual_seed(99)
    assert content(mine_epoch(code_distances(*codes), miner, 5, seed=1, epoch=3)) == first
    assert content(mine_epoch(code_distances(*codes), miner, 5, seed=1, epoch=4)) != first
    assert content(mine_epoch(code_distances(*codes), miner, 5, seed=2, epoch=3)) != first


@pytest.mark.parametrize("miner", MINERS, ids=lambda miner: type(miner).__name__)
def test_rows_lead_back_to_the_targets_distances(codes: tuple[Tensor, Tensor], miner: Miner) -> None:
    images, texts = codes
    found = 0
    for batch in mine_epoch(code_distances(images, texts), miner, 6, seed=0, epoch=0):
        assert len(set(batch.rows.tolist())) == len(batch.rows)
        for triplets, anchors, others in (
            (batch.image_anchored, images[batch.rows], texts[batch.rows]),
            (batch.text_anchored, texts[batch.rows], images[batch.rows]),
        ):
            gap = miner.gap if isinstance(miner, GapMiner) else 1
            for a, p, n in zip(triplets.anchor, triplets.positive, triplets.negative, strict=True):
                assert counted(anchors[a], others[n]) >= counted(anchors[a], others[p]) + gap
                found += 1
    assert found > 100


class EveryAnchor:
    """Makes one triplet for each anchor it is given, whatever the distances are, and remembers both."""

    def __init__(self, within_batch: bool) -> None:
        self.within_batch = within_batch
        self.asked: list[tuple[Tensor, Tensor]] = []

    def __call__(self, distances: Tensor, anchors: Tensor, generator: torch.Generator) -> Triplets:
        self.asked.append((distances, anchors))
        items = distances.shape[1]
        return Triplets(anchors, (anchors + 1) % items, (anchors + 2) % items)


@pytest.mark.parametrize("within_batch", [True, False])
@pytest.mark.parametrize("batch_size", [1, 5, 23, 50])
def test_every_pair_is_an_anchor_of_each_modality_once(
    codes: tuple[Tensor, Tensor], within_batch: bool, batch_size: int
) -> None:
    batches = mine_epoch(code_distances(*codes), EveryAnchor(within_batch), batch_size, seed=0, epoch=0)
    assert len(batches) == -(-PAIRS // batch_size)
    for side in ("image_anchored", "text_anchored"):
        anchors = [row for batch in batches for row in batch.rows[getattr(batch, side).anchor].tolist()]
        assert sorted(anchors) == list(range(PAIRS))
        assert all(len(getattr(batch, side)) <= batch_size for batch in batches)


@pytest.mark.parametrize("within_batch", [True, False])
def test_miners_see_both_directions(codes: tuple[Tensor, Tensor], within_batch: bool) -> None:
    images, texts = codes
    miner = EveryAnchor(within_batch)
    batches = mine_epoch(code_distances(images, texts), miner, 9, seed=0, epoch=0)
    naive = torch.tensor([[counted(image, text) for text in texts] for image in images])
    for number, batch in enumerate(batches):
        (image_first, _), (text_first, _) = miner.asked[2 * number : 2 * number + 2]
        expected = naive[batch.rows][:, batch.rows] if within_batch else naive
        assert image_first.dtype == torch.int64
        assert torch.equal(image_first, expected)
        assert torch.equal(text_first, expected.T)


def test_batches_without_a_triplet_are_kept() -> None:
    same = torch.ones(7, BITS, dtype=torch.int8)
    for miner in MINERS:
        batches = mine_epoch(code_distances(same, same), miner, 3, seed=0, epoch=0)
        assert sorted(row for batch in batches for row in batch.rows.tolist()) == list(range(7))
        assert [len(batch.image_anchored) + len(batch.text_anchored) for batch in batches] == [0, 0, 0]


def test_labels_cannot_be_used() -> None:
    assert set(inspect.signature(code_distances).parameters) == {"image_codes", "text_codes"}
    assert set(inspect.signature(mine_epoch).parameters) == {"distances", "miner", "batch_size", "seed", "epoch"}
    assert not any("label" in name or "pairs" in name.lower() for name in vars(epoch_module))
