from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from aach_lightning.retrieval.stable_order import MapDefinition, stable_mean_average_precision

Retrieval = tuple[Tensor, Tensor, Tensor, Tensor]


def naive_mean(retrieval: Retrieval, definition: str, k: int | None) -> tuple[float, int, int]:
    query_codes, query_labels, codes, labels = (tensor.numpy().astype(int) for tensor in retrieval)
    values = []
    for code, label in zip(query_codes, query_labels, strict=True):
        order = np.argsort((code != codes).sum(1), kind="stable")
        hits = (labels[order] @ label) > 0
        if not hits.any():
            continue
        precision = hits.cumsum() / np.arange(1, len(hits) + 1)
        if definition == "all":
            values.append(precision[hits].mean())
        elif definition == "first_k_relevant":
            values.append(precision[hits][:k].mean())
        elif definition == "top_k_by_hits":
            values.append(precision[:k][hits[:k]].mean() if hits[:k].any() else 0.0)
        else:
            values.append(precision[:k][hits[:k]].sum() / min(k, hits.sum()))
    return float(np.mean(values)), len(values), len(query_codes) - len(values)


@pytest.mark.parametrize(("code_length", "classes"), [(4, 3), (64, 24), (100, 70)])
@pytest.mark.parametrize(
    ("definition", "k"),
    [("all", None), *[(name, k) for name in list(MapDefinition)[1:] for k in (1, 5, 50, 1000)]],
)
def test_each_definition_equals_a_stable_sort(
    draw_retrieval: Callable[..., Retrieval],
    threads: int,
    definition: str,
    k: int | None,
    code_length: int,
    classes: int,
) -> None:
    retrieval = draw_retrieval(12, 333, code_length=code_length, classes=classes)
    retrieval[1][3] = 0  # a query without a relevant item
    value, queries, excluded = naive_mean(retrieval, definition, k)
    result = stable_mean_average_precision(*retrieval, definition, k)
    assert result.value == pytest.approx(value, rel=1e-13)
    assert (result.queries, result.excluded) == (queries, excluded)
    assert excluded >= 1


def test_the_order_of_the_database_matters_here(draw_retrieval: Callable[..., Retrieval]) -> None:
    query_codes, query_labels, codes, labels = draw_retrieval(5, 60, code_length=3)
    backwards = stable_mean_average_precision(query_codes, query_labels, codes.flip(0), labels.flip(0))
    assert backwards.value != stable_mean_average_precision(query_codes, query_labels, codes, labels).value


@pytest.mark.parametrize(
    ("definition", "k", "message"),
    [
        ("map@50", 50, "unknown definition of MAP 'map@50': choose one of all, first_k_relevant, top_k_by_hits"),
        ("all", 50, "'all' takes no k, got k = 50"),
        ("top_k_trec", None, "'top_k_trec' needs k of at least 1, got k = None"),
        ("first_k_relevant", 0, "needs k of at least 1, got k = 0"),
    ],
)
def test_a_definition_and_k_that_do_not_go_together_are_refused(definition: str, k: int | None, message: str) -> None:
    one = torch.ones(1, 1)
    with pytest.raises(ValueError, match=message):
        stable_mean_average_precision(one, one, one, one, definition, k)


def test_nothing_relevant_and_empty_inputs_are_refused() -> None:
    one, none = torch.ones(1, 1), torch.ones(0, 1)
    with pytest.raises(ValueError, match="none of the 1 queries"):
        stable_mean_average_precision(one, one, one, torch.zeros(1, 1))
    with pytest.raises(ValueError, match="no database items"):
        stable_mean_average_precision(one, one, none, none)
