import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from aach_lightning.mining.miners import GapMiner, Miner, RandomMiner, RankMiner, SemiHardMiner
from aach_lightning.mining.triplets import Triplets


def draw_distances(rows: int, columns: int, bits: int, seed: int) -> Tensor:
    return torch.randint(0, bits + 1, (rows, columns), generator=torch.Generator().manual_seed(seed))


def listed(triplets: Triplets) -> list[tuple[int, int, int]]:
    columns = (triplets.anchor, triplets.positive, triplets.negative)
    assert all(column.dtype == torch.int64 and column.shape == (len(triplets),) for column in columns)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def mined(miner: Miner, distances: Tensor, anchors: list[int], seed: int = 0) -> list[tuple[int, int, int]]:
    return listed(miner(distances, torch.tensor(anchors), torch.Generator().manual_seed(seed)))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 9), st.integers(0, 10**6), st.data())
def test_gap_miner_finds_exactly_what_three_loops_find(
    rows: int, columns: int, gap: int, seed: int, data: st.DataObject
) -> None:
    anchors = data.draw(st.lists(st.integers(0, rows - 1), min_size=1, max_size=rows, unique=True))
    distances = draw_distances(rows, columns, 8, seed)
    expected = [
        (anchor, positive, negative)
        for anchor in anchors
        for positive in range(columns)
        for negative in range(columns)
        if int(distances[anchor, negative]) >= int(distances[anchor, positive]) + gap
    ]
    found = mined(GapMiner(gap), distances, anchors)
    assert len(set(found)) == len(found)
    assert set(found) == set(expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(1, 4), st.integers(0, 5), st.integers(0, 10**6))
def test_semi_hard_miner_finds_exactly_what_three_loops_find(items: int, smallest: int, more: int, seed: int) -> None:
    distances = draw_distances(4, items, 8, seed)
    expected = {
        (anchor, positive, negative)
        for anchor in (3, 1)
        for positive in range(items)
        for negative in range(items)
        if smallest <= int(distances[anchor, negative]) - int(distances[anchor, positive]) <= smallest + more
    }
    found = mined(SemiHardMiner(smallest, smallest + more), distances, [3, 1])
    assert len(set(found)) == len(found)
    assert set(found) == expected


def test_gap_miner_needs_no_randomness() -> None:
    distances = draw_distances(5, 5, 8, 0)
    assert mined(GapMiner(2), distances, [4, 0], seed=1) == mined(GapMiner(2), distances, [4, 0], seed=2)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 30),
    st.floats(0.02, 0.6),
    st.floats(0.02, 0.6),
    st.integers(1, 6),
    st.integers(0, 10**6),
)
def test_rank_miner_takes_positives_from_the_head_and_negatives_from_the_tail(
    items: int, nearest: float, farthest: float, per_anchor: int, seed: int
) -> None:
    distances = draw_distances(4, items, 6, seed)
    found = mined(RankMiner(nearest, farthest, per_anchor), distances, [3, 1], seed)
    head, tail = max(1, round(nearest * items)), max(1, round(farthest * items))
    for anchor, positive, negative in found:
        ranked = sorted(distances[anchor].tolist())
        assert anchor in (1, 3)
        # up to ties: an item may stand in the head if no more than head - 1 items are strictly nearer
        assert distances[anchor, positive] <= ranked[head - 1]
        assert distances[anchor, negative] >= ranked[items - tail]
        assert distances[anchor, positive] < distances[anchor, negative]
    for anchor in (1, 3):
        assert sum(found_anchor == anchor for found_anchor, _, _ in found) <= per_anchor


def test_rank_miner_draws_all_it_is_asked_for_where_there_are_no_ties() -> None:
    distances = torch.stack([torch.randperm(20, generator=torch.Generator().manual_seed(row)) for row in range(3)])
    found = mined(RankMiner(0.25, 0.5, 200), distances, [0, 1, 2])
    assert len(found) == 600
    for row in range(3):
        own = [(positive, negative) for anchor, positive, negative in found if anchor == row]
        order = distances[row].argsort().tolist()
        # 200 draws from 5 and from 10 items: missing one has a chance below 1e-8
        assert {positive for positive, _ in own} == set(order[:5])
        assert {negative for _, negative in own} == set(order[10:])


def test_rank_miner_breaks_ties_at_random() -> None:
    distances = torch.tensor([[0, 0, 0, 0, 5, 5, 5, 5]])
    found = [triplet for seed in range(200) for triplet in mined(RankMiner(0.1, 0.1, 1), distances, [0], seed)]
    assert {positive for _, positive, _ in found} == {0, 1, 2, 3}
    assert {negative for _, _, negative in found} == {4, 5, 6, 7}


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 10**6))
def test_random_miner_orders_what_it_draws(items: int, per_anchor: int, seed: int) -> None:
    distances = draw_distances(3, items, 4, seed)
    found = mined(RandomMiner(per_anchor), distances, [2, 0], seed)
    assert len(found) <= 2 * per_anchor
    for anchor, positive, negative in found:
        assert anchor in (0, 2)
        assert distances[anchor, positive] < distances[anchor, negative]


def test_random_miner_reaches_every_pair_of_items() -> None:
    distances = torch.arange(5).flip(0)[None]
    found = mined(RandomMiner(400), distances, [0])
    assert {(p, n) for _, p, n in found} == {(p, n) for p in range(5) for n in range(p)}
    assert 0.7 < len(found) / 400 < 0.9  # two of five are the same item, and dropped, with a chance of 1/5


@pytest.mark.parametrize("miner", [GapMiner(1), SemiHardMiner(1, 3), RankMiner(0.3, 0.3, 4), RandomMiner(4)])
def test_equal_distances_give_no_triplet(miner: Miner) -> None:
    assert mined(miner, torch.full((4, 6), 3), [0, 2]) == []


@pytest.mark.parametrize("miner", [RankMiner(0.3, 0.3, 4), RandomMiner(4)])
def test_draws_depend_on_the_generator_alone(miner: Miner) -> None:
    distances = draw_distances(6, 12, 8, 0)
    torch.manual_seed(1)
    first = mined(miner, distances, [0, 1, 2], seed=5)
    torch.manual_seed(2)
    assert mined(miner, distances, [0, 1, 2], seed=5) == first
    assert mined(miner, distances, [0, 1, 2], seed=6) != first


def test_renumbered_triplets_name_the_same_rows() -> None:
    triplets = Triplets(torch.tensor([7, 2]), torch.tensor([9, 7]), torch.tensor([2, 40]))
    rows = triplets.rows()
    assert rows.tolist() == [2, 7, 9, 40]
    more = torch.tensor([1, 2, 7, 8, 9, 40])
    assert [(more[a].item(), more[p].item(), more[n].item()) for a, p, n in listed(triplets.renumbered(more))] == [
        (7, 9, 2),
        (2, 7, 40),
    ]
