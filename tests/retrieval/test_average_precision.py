from collections.abc import Callable
from fractions import Fraction
from itertools import permutations, product

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from aach_lightning.retrieval.average_precision import (
    best_average_precision,
    chance_average_precision,
    expected_average_precision,
    worst_average_precision,
)

Groups = list[list[int]]  # per distance, the relevance of each item


def fraction_average_precision(ranking: list[int]) -> Fraction:
    found, total = 0, Fraction(0)
    for rank, hit in enumerate(ranking, 1):
        if hit:
            found += 1
            total += Fraction(found, rank)
    return total / found if found else Fraction(0)


def orders(groups: Groups) -> list[list[int]]:
    """Every ranking that some order of the ties gives, as often as orders give it."""
    return [[hit for group in order for hit in group] for order in product(*(list(permutations(g)) for g in groups))]


def tables(groups: Groups) -> tuple[Tensor, Tensor]:
    return torch.tensor([[len(group) for group in groups]]), torch.tensor([[sum(group) for group in groups]])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 1), max_size=4), min_size=1, max_size=3))
def test_closed_forms_equal_all_orders_of_the_ties(groups: Groups) -> None:
    values = [fraction_average_precision(order) for order in orders(groups)]
    items, relevant = tables(groups)
    assert float(expected_average_precision(items, relevant)) == pytest.approx(
        float(sum(values) / len(values)), abs=1e-14
    )
    assert float(best_average_precision(items, relevant)) == pytest.approx(float(max(values)), abs=1e-14)
    assert float(worst_average_precision(items, relevant)) == pytest.approx(float(min(values)), abs=1e-14)


def test_expectation_equals_the_mean_of_random_orders() -> None:
    rng = np.random.default_rng(0)
    sizes, hits = [3, 20, 60, 40], [2, 9, 20, 1]
    groups = [np.repeat([1, 0], [r, n - r]) for n, r in zip(sizes, hits, strict=True)]
    values = []
    for _ in range(4000):
        ranking = np.concatenate([rng.permutation(group) for group in groups])
        values.append((ranking.cumsum() / np.arange(1, len(ranking) + 1))[ranking == 1].mean())
    expected = float(expected_average_precision(torch.tensor([sizes]), torch.tensor([hits])))
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values) - expected) < 4 * error
    assert error < 0.002


def exact_expectation(items: list[int], relevant: list[int]) -> float:
    """The sum of McSherry and Najork, term by term in fractions."""
    before = hits = 0
    total = Fraction(0)
    for n, r in zip(items, relevant, strict=True):
        for i in range(1, n + 1):
            slope = Fraction((i - 1) * (r - 1), n - 1) if n > 1 else Fraction(0)
            total += Fraction(r, n) * (hits + 1 + slope) / (before + i)
        before, hits = before + n, hits + r
    return float(total / hits)


@pytest.mark.parametrize(
    ("items", "relevant"),
    [
        ([1, 0, 700, 2, 900], [0, 0, 3, 2, 900]),
        ([300, 400, 500], [1, 0, 499]),
        ([1500, 2, 2, 2], [0, 2, 1, 0]),
        ([1] * 40, [1, 0] * 20),
    ],
)
def test_long_rankings_equal_the_sum_in_fractions(items: list[int], relevant: list[int]) -> None:
    result = expected_average_precision(torch.tensor([items]), torch.tensor([relevant]))
    assert float(result) == pytest.approx(exact_expectation(items, relevant), rel=1e-13)


def test_two_relevant_items_behind_ten_million() -> None:
    # ranks N+1 and N+2 in either order: (1/(N+1) + 2/(N+2)) / 2
    n = 10_000_000
    result = expected_average_precision(torch.tensor([[n, 2]]), torch.tensor([[0, 2]]))
    assert float(result) == pytest.approx(float((Fraction(1, n + 1) + Fraction(2, n + 2)) / 2), abs=2e-16)


def test_more_queries_than_are_worked_on_at_once() -> None:
    generator = torch.Generator().manual_seed(0)
    items = torch.randint(0, 2, (140, 257), generator=generator)  # 63 rows of 257 make a piece
    relevant = torch.minimum(items, (torch.rand(140, 257, generator=generator) < 0.05).long())
    alone = [
        exact_expectation(*pair) if sum(pair[1]) else 0.0
        for pair in zip(items.tolist(), relevant.tolist(), strict=True)
    ]
    assert expected_average_precision(items, relevant).tolist() == pytest.approx(alone, abs=1e-14)


def test_chance_is_the_mean_over_all_rankings() -> None:
    items, relevant = torch.tensor([[1, 3, 0, 1], [2, 1, 1, 1]]), torch.tensor([[1, 1, 0, 0], [0, 0, 0, 1]])
    expected = []
    for hits in (2, 1):
        rankings = list(permutations([1] * hits + [0] * (5 - hits)))
        expected.append(float(sum(fraction_average_precision(list(order)) for order in rankings) / len(rankings)))
    assert chance_average_precision(items, relevant).tolist() == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize(
    "metric",
    [expected_average_precision, best_average_precision, worst_average_precision, chance_average_precision],
)
class TestEveryForm:
    def test_without_a_relevant_item_it_is_zero(self, metric: Callable[[Tensor, Tensor], Tensor]) -> None:
        result = metric(torch.tensor([[2, 3], [0, 0]]), torch.zeros(2, 2, dtype=torch.int64))
        assert result.tolist() == [0.0, 0.0]

    def test_where_all_is_relevant_it_is_one(self, metric: Callable[[Tensor, Tensor], Tensor]) -> None:
        items = torch.tensor([[2, 300, 5000]])
        assert metric(items, items).tolist() == pytest.approx([1.0], abs=1e-14)

    def test_exchanged_tables_are_refused(self, metric: Callable[[Tensor, Tensor], Tensor]) -> None:
        with pytest.raises(ValueError, match="exchanged"):
            metric(torch.tensor([[1, 0]]), torch.tensor([[1, 1]]))
