from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics import MetricCollection

from aach_lightning.retrieval import (
    HammingBestMAP,
    HammingChanceMAP,
    HammingHistogram,
    HammingMAP,
    HammingNDCGAt,
    HammingPrecisionAt,
    HammingPrecisionWithin,
    HammingRecallAt,
    HammingRecallWithin,
    HammingWorstMAP,
    joint_histogram,
    mean_average_precision,
)

Retrieval = tuple[Tensor, Tensor, Tensor, Tensor]


def slow_map(retrieval: Retrieval, shuffles: int = 3000) -> float:
    """Mean of MAP over random orders of the database, each ranked by a stable sort."""
    query_codes, query_labels, codes, labels = (tensor.long() for tensor in retrieval)
    distance = (query_codes.unsqueeze(1) != codes).sum(2)
    hit = (query_labels @ labels.T) > 0
    generator = torch.Generator().manual_seed(0)
    total = 0.0
    for _ in range(shuffles):
        order = torch.randperm(len(codes), generator=generator)
        ranks = torch.sort(distance[:, order], dim=1, stable=True).indices
        hits = hit[:, order].gather(1, ranks).double()
        precision = hits.cumsum(1) / torch.arange(1, len(codes) + 1)
        values = (precision * hits).sum(1) / hits.sum(1)
        total += float(values[hits.any(1)].mean())
    return total / shuffles


def test_map_is_the_mean_over_random_orders_of_the_database(draw_retrieval: Callable[..., Retrieval]) -> None:
    retrieval = draw_retrieval(8, 30, code_length=4)
    assert mean_average_precision(*retrieval) == pytest.approx(slow_map(retrieval), abs=1e-3)


def test_map_does_not_depend_on_the_order_of_the_database(draw_retrieval: Callable[..., Retrieval]) -> None:
    query_codes, query_labels, codes, labels = draw_retrieval(5, 60, code_length=3)
    backwards = mean_average_precision(query_codes, query_labels, codes.flip(0), labels.flip(0))
    assert backwards == mean_average_precision(query_codes, query_labels, codes, labels)


def test_query_batches_and_database_shards_give_the_same_bits(draw_retrieval: Callable[..., Retrieval]) -> None:
    query_codes, query_labels, codes, labels = draw_retrieval(9, 101)
    metric = HammingMAP(queries=9, code_length=12)
    for ids in (torch.tensor([8, 0, 3]), torch.tensor([1]), torch.tensor([2, 7, 4, 5, 6])):
        for first, last in ((0, 0), (0, 40), (40, 41), (41, 101)):
            metric.update(query_codes[ids], query_labels[ids], codes[first:last], labels[first:last], query_ids=ids)
    metric.update(query_codes[:0], query_labels[:0], codes, labels, query_ids=torch.arange(0))
    items, relevant = joint_histogram(query_codes, query_labels, codes, labels)
    assert torch.equal(metric.items, items)
    assert torch.equal(metric.relevant, relevant)
    assert float(metric.compute()) == mean_average_precision(query_codes, query_labels, codes, labels)


def test_reset_forgets_and_the_histogram_is_given_out(draw_retrieval: Callable[..., Retrieval]) -> None:
    retrieval = draw_retrieval(3, 20)
    metric = HammingHistogram(queries=3, code_length=12)
    metric.update(*retrieval)
    metric.reset()
    metric.update(*retrieval)
    items, relevant = metric.compute()
    assert items.sum(1).tolist() == [20, 20, 20]
    assert torch.equal(relevant, joint_histogram(*retrieval).relevant)


def test_state_is_of_the_size_of_the_queries_whatever_the_database(draw_retrieval: Callable[..., Retrieval]) -> None:
    metric = HammingMAP(queries=3, code_length=12)
    metric.update(*draw_retrieval(3, 20))
    small = sum(state.nbytes for state in metric.metric_state.values())
    metric.update(*draw_retrieval(3, 4000))
    assert sum(state.nbytes for state in metric.metric_state.values()) == small == 2 * 3 * 13 * 8


def hand_tables() -> dict[str, tuple[type[HammingHistogram], dict[str, Any], float]]:
    # One query; by distance a relevant item, then a relevant and an irrelevant one tied, then an irrelevant one.
    # Rankings: relevant at 1 and 2, or at 1 and 3, equally likely.
    ndcg_ideal = 1 + 1 / 1.584962500721156
    return {
        "map": (HammingMAP, {}, (1 + (1 + 2 / 3) / 2) / 2),
        "best": (HammingBestMAP, {}, 1.0),
        "worst": (HammingWorstMAP, {}, (1 + 2 / 3) / 2),
        # places of 2 relevant among 4: 12, 13, 14, 23, 24, 34
        "chance": (HammingChanceMAP, {}, (1 + 5 / 6 + 3 / 4 + 7 / 12 + 1 / 2 + 5 / 12) / 6),
        "precision_at": (HammingPrecisionAt, {"n": 2}, 0.75),
        "recall_at": (HammingRecallAt, {"n": 3}, 1.0),
        "ndcg_at": (HammingNDCGAt, {"n": 2}, (1 + 0.5 / 1.584962500721156) / ndcg_ideal),
        "precision_within": (HammingPrecisionWithin, {"radius": 1}, 2 / 3),
        "recall_within": (HammingRecallWithin, {"radius": 0}, 0.5),
    }


def hand_retrieval() -> Retrieval:
    codes = torch.tensor([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    return codes[:1], torch.tensor([[1, 0]]), codes, torch.tensor([[1, 0], [1, 1], [0, 1], [0, 1]])


@pytest.mark.parametrize("name", hand_tables())
def test_each_metric_gives_the_value_worked_out_by_hand(name: str) -> None:
    metric_class, options, expected = hand_tables()[name]
    metric = metric_class(queries=1, code_length=2, **options)
    metric.update(*hand_retrieval())
    assert float(metric.compute()) == pytest.approx(expected, abs=1e-14)
    assert metric.compute().dtype == torch.float64


def test_a_collection_passes_over_the_database_once(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = {name: kind(queries=1, code_length=2, **options) for name, (kind, options, _) in hand_tables().items()}
    collection = MetricCollection(metrics)
    parts = [tuple(hand_retrieval()[:2]) + tuple(t[rows] for t in hand_retrieval()[2:]) for rows in ([0], [1, 3], [2])]
    collection.update(*parts[0])
    calls = []
    original = HammingHistogram.update
    monkeypatch.setattr(
        "aach_lightning.retrieval.metrics.joint_histogram",
        lambda *inputs: calls.append(len(inputs[2])) or joint_histogram(*inputs),
    )
    assert HammingHistogram.update is original
    for part in parts[1:]:
        collection.update(*part)
    assert calls == [2, 1]
    for name, value in collection.compute().items():
        assert float(value) == pytest.approx(hand_tables()[name][2], abs=1e-14)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queries": 0, "code_length": 8}, "queries must be at least 1, got 0"),
        ({"queries": 1, "code_length": 1025}, "code_length must be 1 to 1024, got 1025"),
    ],
)
def test_sizes_out_of_range_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HammingMAP(**options)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        HammingPrecisionAt(queries=1, code_length=8, n=0)
    with pytest.raises(ValueError, match=r"radius must be 0 to 8 .* got 9"):
        HammingRecallWithin(queries=1, code_length=8, radius=9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_codes": torch.ones(2, 8)}, "2 query codes for a metric of 3 queries: give query_ids"),
        ({"database_codes": torch.ones(4, 9)}, "database codes have 9 bits, this metric counts 8"),
        ({"database_codes": torch.ones(0, 9), "database_labels": torch.ones(0, 2)}, "have 9 bits"),
        ({"query_ids": torch.tensor([0, 1])}, "3 distinct int64"),
        ({"query_ids": torch.tensor([0, 1, 1])}, "3 distinct int64"),
        ({"query_ids": torch.tensor([0.0, 1.0, 2.0])}, "got torch.float32"),
        ({"query_ids": torch.tensor([1, 2, 3])}, r"must lie in 0\.\.2, got 1\.\.3"),
        ({"database_codes": torch.full((4, 8), float("nan"))}, "found nan"),
    ],
)
def test_updates_that_do_not_fit_are_refused_and_count_nothing(change: dict[str, Tensor], message: str) -> None:
    inputs = {
        "query_codes": torch.ones(3, 8),
        "query_labels": torch.ones(3, 2),
        "database_codes": torch.ones(4, 8),
        "database_labels": torch.ones(4, 2),
    }
    metric = HammingMAP(queries=3, code_length=8)
    with pytest.raises(ValueError, match=message):
        metric.update(**{**inputs, **change})
    assert not metric.items.any()


def test_a_value_of_nothing_is_refused() -> None:
    metric = HammingMAP(queries=1, code_length=8)
    metric.update(torch.ones(1, 8), torch.ones(1, 2), torch.ones(0, 8), torch.ones(0, 2))
    with pytest.raises(ValueError, match="none of the 1 queries has a relevant item"):
        metric.compute()
