import pytest
import torch
from torch import Tensor

from aach_lightning.mining.epoch import MinedBatch
from aach_lightning.mining.lists import list_distances, mine_lists
from aach_lightning.mining.miners import GapMiner, Miner, RandomMiner, RankMiner

QUERIED, GALLERY, BITS = 17, 29, 12
MINERS = [GapMiner(3), RankMiner(0.2, 0.5, 3), RandomMiner(4)]
NAMES = [type(miner).__name__ for miner in MINERS]
Lists = tuple[Tensor, Tensor]


def drawn(length: int) -> Lists:
    generator = torch.Generator().manual_seed(0)
    orders = [torch.stack([torch.randperm(GALLERY, generator=generator) for _ in range(QUERIED)]) for _ in range(2)]
    return orders[0][:, :length], orders[1][:, :length]


def mined(lists: Lists, miner: Miner, batch_size: int = 5, seed: int = 0, epoch: int = 0) -> list[MinedBatch]:
    images, texts = (list_distances(part, GALLERY, BITS) for part in lists)
    return mine_lists(images, texts, miner, batch_size, seed, epoch)


def nearer(order: list[int], first: int, second: int) -> bool:
    """Whether a list says that one item is nearer than another."""
    if first not in order:
        return False
    return second not in order or order.index(first) < order.index(second)


@pytest.mark.parametrize("length", [GALLERY, 6, 1])
def test_distances_grow_with_places_and_end_with_the_list(length: int) -> None:
    (lists, _) = drawn(length)
    found = list_distances(lists, GALLERY, BITS)
    for row, order in zip(found.tolist(), lists.tolist(), strict=True):
        rest = [place for place in range(GALLERY) if place >= length]
        for item, distance in enumerate(row):
            place = order.index(item) if item in order else sum(rest) / len(rest)
            assert distance == pytest.approx(place * BITS / (GALLERY - 1))
    assert found.min() == 0
    assert found.max() <= BITS


@pytest.mark.parametrize("length", [GALLERY, 6])
@pytest.mark.parametrize("miner", MINERS, ids=NAMES)
def test_every_triplet_stands_in_the_list_of_its_anchor(miner: Miner, length: int) -> None:
    lists = drawn(length)
    count = 0
    for batch in mined(lists, miner):
        rows = batch.rows.tolist()
        assert len(set(rows)) == len(rows)
        for triplets, orders in ((batch.image_anchored, lists[0]), (batch.text_anchored, lists[1])):
            for anchor, positive, negative in zip(*(part.tolist() for part in vars(triplets).values()), strict=True):
                assert rows[anchor] < QUERIED
                items = [rows[place] - QUERIED for place in (positive, negative)]
                assert min(items) >= 0
                assert nearer(orders[rows[anchor]].tolist(), *items)
                count += 1
    assert count > 40


@pytest.mark.parametrize("length", [GALLERY, 6])
def test_a_gap_finds_what_a_loop_finds(length: int) -> None:
    lists = drawn(length)
    distances = [list_distances(part, GALLERY, BITS).tolist() for part in lists]
    for batch in mined(lists, GapMiner(3)):
        rows = batch.rows.tolist()
        anchors = [place for place, row in enumerate(rows) if row < QUERIED]
        shown = [place for place, row in enumerate(rows) if row >= QUERIED]
        assert len(shown) == 5 >= len(anchors)
        for triplets, away in ((batch.image_anchored, distances[0]), (batch.text_anchored, distances[1])):
            expected = [
                (a, p, n)
                for a in anchors
                for p in shown
                for n in shown
                if away[rows[a]][rows[n] - QUERIED] - away[rows[a]][rows[p] - QUERIED] >= 3
            ]
            found = list(zip(*(part.tolist() for part in vars(triplets).values()), strict=True))
            assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("miner", MINERS, ids=NAMES)
def test_every_queried_pair_is_an_anchor_once_and_an_epoch_follows_from_its_seed(miner: Miner) -> None:
    lists = drawn(GALLERY)

    def content(seed: int, epoch: int) -> list[list[int]]:
        return [
            part.tolist()
            for batch in mined(lists, miner, 4, seed, epoch)
            for part in (batch.rows, *vars(batch.image_anchored).values(), *vars(batch.text_anchored).values())
        ]

    torch.manual_seed(5)
    first = content(1, 2)
    torch.manual_seed(6)
    assert content(1, 2) == first
    assert content(1, 3) != first
    assert content(2, 2) != first
    rows = [row for batch in mined(lists, miner, batch_size=4) for row in batch.rows.tolist()]
    assert sorted(row for row in rows if row < QUERIED) == list(range(QUERIED))
