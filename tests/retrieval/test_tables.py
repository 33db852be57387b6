import pytest
import torch
from torch import Tensor

from aach_lightning.retrieval.tables import QueryMean, check_tables, mean_over_queries


@pytest.mark.parametrize(
    ("items", "relevant", "message"),
    [
        (torch.zeros(0, 3, dtype=torch.int64), torch.zeros(0, 3, dtype=torch.int64), "not empty"),
        (torch.ones(2, 3, dtype=torch.int64), torch.ones(2, 2, dtype=torch.int64), r"\(2, 3\) and \(2, 2\)"),
        (torch.ones(3, dtype=torch.int64), torch.ones(3, dtype=torch.int64), r"Q x \(K\+1\)"),
        (torch.ones(2, 3), torch.ones(2, 3), "torch.float32"),
        (torch.ones(2, 3, dtype=torch.int64), -torch.ones(2, 3, dtype=torch.int64), "between 0 and items"),
        (torch.ones(2, 3, dtype=torch.int64), torch.full((2, 3), 2), "exchanged"),
    ],
)
def test_tables_of_no_retrieval_are_refused(items: Tensor, relevant: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_tables(items, relevant)


def test_queries_without_a_relevant_item_are_left_out_and_counted() -> None:
    values = torch.tensor([0.2, 0.9, 0.6], dtype=torch.float64)
    relevant = torch.tensor([[0, 3], [0, 0], [1, 0]])
    assert mean_over_queries(values, relevant) == QueryMean(pytest.approx(0.4), queries=2, excluded=1)


def test_a_mean_over_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="none of the 2 queries has a relevant item"):
        mean_over_queries(torch.zeros(2), torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"\(3,\) values for 2 queries"):
        mean_over_queries(torch.zeros(3), torch.ones(2, 3, dtype=torch.int64))
