"""What the two tables of a joint histogram must satisfy, and the mean over the queries that count."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor


def row_pieces(table: Tensor) -> Iterator[slice]:
    """Cut a table into ranges of rows to work on one after the other.

    On a CPU they are so small that torch stays on one thread: the work is too short to gain from a second, and waiting
    for it on a busy machine costs many times the work.

    Args:
        table: Q x columns.
    """
    entries = 1 << 14 if table.device.type == "cpu" else 1 << 22
    step = max(1, entries // table.shape[1])
    return (slice(first, first + step) for first in range(0, len(table), step))


def check_tables(items: Tensor, relevant: Tensor) -> None:
    """Refuse tables that no retrieval can have produced.

    Args:
        items: int64, Q x (K+1). Database items at each distance.
        relevant: int64, Q x (K+1). Relevant ones among them.

    Raises:
        ValueError: If there is no query or no distance, shapes differ, a dtype is not int64, a count is below 0, or
            `relevant` exceeds `items`.
    """
    if items.ndim != 2 or items.numel() == 0 or items.shape != relevant.shape:
        shapes = f"{tuple(items.shape)} and {tuple(relevant.shape)}"
        raise ValueError(f"items and relevant must both be Q x (K+1) and not empty, got {shapes}")
    if items.dtype != torch.int64 or relevant.dtype != torch.int64:
        raise ValueError(f"items and relevant must be int64 counts, got {items.dtype} and {relevant.dtype}")
    for rows in row_pieces(items):
        if bool(((relevant[rows] < 0) | (relevant[rows] > items[rows])).any()):
            raise ValueError("relevant must lie between 0 and items at every distance: were the two tables exchanged?")


class QueryMean(NamedTuple):
    """A mean over queries, and over how many.

    Attributes:
        value: Mean over the queries that have at least one relevant item in the database.
        queries: How many these are.
        excluded: How many queries have none, and were left out.
    """

    value: float
    queries: int
    excluded: int


def mean_over_queries(values: Tensor, relevant: Tensor) -> QueryMean:
    """Mean of a per-query metric over the queries with at least one relevant item; the others are left out and counted.

    Args:
        values: float64, Q.
        relevant: int64, Q x (K+1). Relevant items at each distance.

    Raises:
        ValueError: If no query has a relevant item, or the lengths differ.

    Example:
        >>> mean_over_queries(torch.tensor([0.5, 0.0]), torch.tensor([[1, 2], [0, 0]]))
        QueryMean(value=0.5, queries=1, excluded=1)
    """
    if values.shape != relevant.shape[:1]:
        raise ValueError(f"{tuple(values.shape)} values for {len(relevant)} queries")
    kept = torch.cat([relevant[rows].any(1) for rows in row_pieces(relevant)])
    queries = int(kept.sum())
    if queries == 0:
        raise ValueError(f"none of the {len(relevant)} queries has a relevant item in the database: there is no mean")
    return QueryMean(float(values[kept].double().mean()), queries, len(relevant) - queries)
