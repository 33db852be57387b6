from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from aach_lightning.retrieval.histogram import joint_histogram
from aach_lightning.retrieval.radius import precision_recall_curve, precision_within, recall_within

Retrieval = tuple[Tensor, Tensor, Tensor, Tensor]


def test_curve_and_lookup_equal_counting_item_by_item(draw_retrieval: Callable[..., Retrieval]) -> None:
    retrieval = draw_retrieval(6, 40, code_length=9)
    retrieval[1][0] = 0  # a query without a relevant item
    query_codes, query_labels, codes, labels = (tensor.tolist() for tensor in retrieval)
    items, relevant = joint_histogram(*retrieval)
    precision, recall = precision_recall_curve(items, relevant)
    assert precision.shape == recall.shape == (6, 10)
    for q in range(6):
        distances = [sum(a != b for a, b in zip(query_codes[q], code, strict=True)) for code in codes]
        hits = [any(a and b for a, b in zip(query_labels[q], label, strict=True)) for label in labels]
        for radius in range(10):
            returned = [hit for distance, hit in zip(distances, hits, strict=True) if distance <= radius]
            wanted_precision = sum(returned) / len(returned) if returned else 0.0
            wanted_recall = sum(returned) / sum(hits) if any(hits) else 0.0
            assert float(precision[q, radius]) == wanted_precision
            assert float(recall[q, radius]) == wanted_recall
            assert float(precision_within(items, relevant, radius)[q]) == wanted_precision
            assert float(recall_within(items, relevant, radius)[q]) == wanted_recall


@pytest.mark.parametrize("metric", [precision_within, recall_within])
@pytest.mark.parametrize("radius", [-1, 3])
def test_a_radius_beyond_the_code_is_refused(metric: Callable[[Tensor, Tensor, int], Tensor], radius: int) -> None:
    table = torch.ones(1, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match=f"radius must be 0 to 2 .* got {radius}"):
        metric(table, table, radius)


@pytest.mark.parametrize("metric", [precision_recall_curve, lambda *tables: precision_within(*tables, radius=0)])
def test_exchanged_tables_are_refused(metric: Callable[[Tensor, Tensor], object]) -> None:
    with pytest.raises(ValueError, match="exchanged"):
        metric(torch.tensor([[1, 0]]), torch.tensor([[1, 1]]))


def test_a_single_item_within_the_radius_decides() -> None:
    precision, recall = precision_recall_curve(torch.tensor([[1, 3], [1, 0]]), torch.tensor([[1, 1], [0, 0]]))
    assert precision.tolist() == [[1.0, 0.5], [0.0, 0.0]]
    assert recall.tolist() == [[0.5, 1.0], [0.0, 0.0]]
