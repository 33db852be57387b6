import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from aach_lightning.surrogates.selection import least_certain, spread_out


def draw(items: int, width: int, seed: int) -> Tensor:
    return torch.randn(items, width, generator=torch.Generator().manual_seed(seed))


def cosine_distance(first: list[float], second: list[float]) -> float:
    dot = sum(a * b for a, b in zip(first, second, strict=True))
    return 1 - dot / math.hypot(*first) / math.hypot(*second)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 14), st.integers(2, 5), st.integers(0, 10**6), st.data())
def test_each_choice_is_the_farthest_from_those_before(items: int, width: int, seed: int, data: st.DataObject) -> None:
    features = draw(items, width, seed)
    count = data.draw(st.integers(1, items))
    rows = features.double().tolist()
    expected = [0]
    while len(expected) < count:
        left = [row for row in range(items) if row not in expected]
        expected.append(max(left, key=lambda row: min(cosine_distance(rows[row], rows[c]) for c in expected)))
    assert spread_out(features, count).tolist() == expected


def test_smaller_choices_are_the_first_of_larger_ones() -> None:
    features = draw(60, 8, 0)
    whole = spread_out(features, 60)
    assert sorted(whole.tolist()) == list(range(60))
    assert all(torch.equal(spread_out(features, count), whole[:count]) for count in (1, 7, 30))


def test_one_of_each_cluster_comes_first() -> None:
    centres = torch.eye(5)[torch.arange(50) % 5]
    features = centres * 10 + 0.01 * draw(50, 5, 0)
    assert sorted((spread_out(features, 5) % 5).tolist()) == [0, 1, 2, 3, 4]


def test_equal_items_are_still_chosen_once_each() -> None:
    assert sorted(spread_out(torch.ones(6, 3), 6).tolist()) == list(range(6))


@pytest.mark.parametrize("count", [0, 7])
def test_counts_that_there_are_not(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 6"):
        spread_out(torch.ones(6, 3), count)


def test_the_least_certain_come_first() -> None:
    images, texts = (torch.tanh(draw(20, 4, seed)) for seed in (0, 1))
    sums = [sum(map(abs, i)) + sum(map(abs, t)) for i, t in zip(images.tolist(), texts.tolist(), strict=True)]
    expected = sorted(range(20), key=sums.__getitem__)
    assert least_certain(images, texts, 20).tolist() == expected
    assert least_certain(images, texts, 6).tolist() == expected[:6]
    assert least_certain(images, texts, 0).tolist() == []
