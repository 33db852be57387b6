import math
from collections.abc import Callable
from itertools import permutations, product

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from aach_lightning.retrieval.top_n import ndcg_at, precision_at, recall_at


def naive_ndcg(ranking: list[int], n: int) -> float:
    gain = sum(hit / math.log2(rank + 1) for rank, hit in enumerate(ranking[:n], 1))
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(n, sum(ranking)) + 1))
    return gain / ideal if ideal else 0.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 1), max_size=4), min_size=1, max_size=3).filter(any), st.data())
def test_expectations_equal_the_mean_over_all_orders_of_the_ties(groups: list[list[int]], data: st.DataObject) -> None:
    items, relevant = torch.tensor([[len(g) for g in groups]]), torch.tensor([[sum(g) for g in groups]])
    n = data.draw(st.integers(1, int(items.sum())))
    rankings = [
        [hit for group in order for hit in group] for order in product(*(list(permutations(g)) for g in groups))
    ]
    total = int(relevant.sum())
    precision = np.mean([sum(ranking[:n]) / n for ranking in rankings])
    recall = np.mean([sum(ranking[:n]) / total if total else 0.0 for ranking in rankings])
    ndcg = np.mean([naive_ndcg(ranking, n) for ranking in rankings])
    assert float(precision_at(items, relevant, n)) == pytest.approx(precision, abs=1e-14)
    assert float(recall_at(items, relevant, n)) == pytest.approx(recall, abs=1e-14)
    assert float(ndcg_at(items, relevant, n)) == pytest.approx(ndcg, abs=1e-14)


def test_larger_rankings_equal_the_mean_of_random_orders() -> None:
    rng = np.random.default_rng(0)
    sizes, hits, n = [5, 30, 65], [1, 20, 10], 50
    groups = [np.repeat([1, 0], [r, size - r]) for size, r in zip(sizes, hits, strict=True)]
    rankings = [np.concatenate([rng.permutation(group) for group in groups]) for _ in range(3000)]
    table = torch.tensor([sizes]), torch.tensor([hits])
    for metric, naive in (
        (precision_at, lambda ranking: ranking[:n].mean()),
        (recall_at, lambda ranking: ranking[:n].sum() / 31),
        (ndcg_at, lambda ranking: naive_ndcg(ranking.tolist(), n)),
    ):
        values = [naive(ranking) for ranking in rankings]
        assert abs(np.mean(values) - float(metric(*table, n))) < 4 * np.std(values) / math.sqrt(len(values))


@pytest.mark.parametrize("metric", [precision_at, recall_at, ndcg_at])
class TestEveryMetric:
    def test_without_a_relevant_item_it_is_zero(self, metric: Callable[[Tensor, Tensor, int], Tensor]) -> None:
        assert metric(torch.tensor([[2, 3]]), torch.tensor([[0, 0]]), 2).tolist() == [0.0]

    @pytest.mark.parametrize("n", [0, 4])
    def test_more_ranks_than_items_are_refused(self, metric: Callable[[Tensor, Tensor, int], Tensor], n: int) -> None:
        with pytest.raises(ValueError, match=f"n must be 1 to 3, the number of database items, got {n}"):
            metric(torch.tensor([[2, 3], [2, 1]]), torch.tensor([[1, 0], [1, 1]]), n)
