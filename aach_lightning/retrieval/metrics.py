"""Retrieval metrics as torchmetrics classes, exact over batches, database shards and processes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from aach_lightning.retrieval.average_precision import expected_average_precision
from aach_lightning.retrieval.histogram import JointHistogram, joint_histogram
from aach_lightning.retrieval.inputs import MAX_CODE_LENGTH, check_codes_shape, check_labels_shape
from aach_lightning.retrieval.tables import mean_over_queries


def mean_average_precision(
    query_codes: Tensor, query_labels: Tensor, database_codes: Tensor, database_labels: Tensor
) -> float:
    """MAP over the whole ranking, expected over random order of ties; queries without a relevant item are left out.

    Args and raises as `joint_histogram`; ValueError too where no query has a relevant item.

    Example:
        >>> codes = torch.tensor([[1, 1], [1, 1], [-1, -1]])
        >>> labels = torch.tensor([[1, 0], [0, 1], [1, 0]])
        >>> mean_average_precision(codes[:1], labels[:1], codes[1:], labels[1:])
        0.5
    """
    items, relevant = joint_histogram(query_codes, query_labels, database_codes, database_labels)
    return mean_over_queries(expected_average_precision(items, relevant), relevant).value


def chance_level(query_labels: Tensor, database_labels: Tensor) -> float:
    """MAP of a system that answers every input with one constant code: the expectation over random rankings.

    Args:
        query_labels: Q x C with values 0 and 1.
        database_labels: N x C with values 0 and 1.

    Raises:
        ValueError: As `mean_average_precision`.

    Example:
        >>> chance_level(torch.tensor([[1, 0]]), torch.tensor([[1, 0], [0, 1]]))
        0.75
    """
    query, database = torch.ones(len(query_labels), 1), torch.ones(len(database_labels), 1)
    return mean_average_precision(query, query_labels, database, database_labels)


class HammingHistogram(Metric):
    """The joint histogram of Q queries, collected over batches of queries, shards of the database and processes.

    The states are counts that add up, so the order and the cut of the updates change nothing, and memory is O(Q K)
    whatever the database. Each query must meet each database item in exactly one update of one process.

    Args:
        queries: Q, number of queries.
        code_length: K, number of bits, 1 to 1024.
        **kwargs: Of `torchmetrics.Metric`.

    Raises:
        ValueError: If `queries` or `code_length` is out of range.
    """

    full_state_update = False
    items: Tensor
    relevant: Tensor

    def __init__(self, queries: int, code_length: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if queries < 1:
            raise ValueError(f"queries must be at least 1, got {queries}")
        if not 1 <= code_length <= MAX_CODE_LENGTH:
            raise ValueError(f"code_length must be 1 to {MAX_CODE_LENGTH}, got {code_length}")
        self.queries = queries
        self.code_length = code_length
        for name in ("items", "relevant"):
            self.add_state(name, torch.zeros(queries, code_length + 1, dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        query_codes: Tensor,
        query_labels: Tensor,
        database_codes: Tensor,
        database_labels: Tensor,
        query_ids: Tensor | None = None,
    ) -> None:
        """Count part of the database for all queries, or for some of them.

        Args:
            query_codes: q x K with values -1 and +1; q may be 0.
            query_labels: q x C with values 0 and 1.
            database_codes: n x K with values -1 and +1; n may be 0 (an empty shard).
            database_labels: n x C with values 0 and 1.
            query_ids: int64, q, distinct, in 0..Q-1: which queries these are. Without, q must be Q.

        Raises:
            TypeError: If an input is not a real tensor.
            ValueError: If inputs do not fit together or this metric, or are not binary.
        """
        check_labels_shape(query_labels, "query labels")
        check_labels_shape(database_labels, "database labels")
        for side, codes in (("query", query_codes), ("database", database_codes)):
            check_codes_shape(codes, f"{side} codes")
            if codes.shape[1] != self.code_length:
                raise ValueError(f"{side} codes have {codes.shape[1]} bits, this metric counts {self.code_length}")
        rows = self._rows(len(query_codes), query_ids)
        if len(query_codes) == 0 or len(database_codes) == 0:
            return
        items, relevant = joint_histogram(query_codes, query_labels, database_codes, database_labels)
        self.items[rows] += items.to(self.items.device)
        self.relevant[rows] += relevant.to(self.relevant.device)

    def compute(self) -> Any:
        """The two tables, int64 Q x (K+1)."""
        return JointHistogram(self.items, self.relevant)

    def _rows(self, queries: int, query_ids: Tensor | None) -> Tensor:
        if query_ids is None:
            if queries != self.queries:
                raise ValueError(f"{queries} query codes for a metric of {self.queries} queries: give query_ids")
            return torch.arange(self.queries, device=self.items.device)
        ids = query_ids.to(self.items.device)
        if ids.dtype != torch.int64 or ids.shape != (queries,) or len(torch.unique(ids)) != queries:
            raise ValueError(f"query_ids must be {queries} distinct int64, got {ids.dtype} of shape {tuple(ids.shape)}")
        if queries and not 0 <= int(ids.min()) <= int(ids.max()) < self.queries:
            raise ValueError(f"query_ids must lie in 0..{self.queries - 1}, got {int(ids.min())}..{int(ids.max())}")
        return ids


class HammingMean(HammingHistogram):
    """A metric of each query, averaged over the queries that have a relevant item. Subclasses say which.

    Arguments and updates as `HammingHistogram`; `compute` gives a float64 scalar.

    Attributes:
        per_query: From the tables of the joint histogram, and `cut` where there is one, to float64, Q.
        cut: Number of ranks or radius, for a metric that has one.
    """

    higher_is_better = True
    per_query: Callable[..., Tensor]
    cut: tuple[int, ...] = ()

    def compute(self) -> Tensor:
        """Mean over the queries with a relevant item, as a float64 scalar.

        Raises:
            ValueError: If no query has met a relevant item.
        """
        mean = mean_over_queries(self.per_query(self.items, self.relevant, *self.cut), self.relevant)
        return torch.tensor(mean.value, dtype=torch.float64, device=self.items.device)


class HammingMAP(HammingMean):
    """Mean average precision over the whole ranking, expected over random order of ties.

    Arguments and updates as `HammingHistogram`; `compute` gives a float64 scalar in [0, 1].

    Example:
        >>> metric = HammingMAP(queries=1, code_length=2)
        >>> query, label = torch.tensor([[1, 1]]), torch.tensor([[1]])
        >>> metric.update(query, label, torch.tensor([[1, -1]]), torch.tensor([[1]]))
        >>> metric.update(query, label, torch.tensor([[1, 1]]), torch.tensor([[0]]))
        >>> metric.compute()
        tensor(0.5000, dtype=torch.float64)
    """

    per_query = staticmethod(expected_average_precision)
