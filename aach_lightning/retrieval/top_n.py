"""Precision, recall and NDCG of the first n ranks, expected when items at one distance are put in random order."""

import torch
from torch import Tensor

from aach_lightning.retrieval.tables import check_tables


def precision_at(items: Tensor, relevant: Tensor, n: int) -> Tensor:
    """Expected share of relevant items among the first n.

    The group of ties that rank n cuts gives its relevant items in proportion (the mean of a hypergeometric
    distribution).

    Args:
        items: int64, Q x (K+1). Database items at each distance.
        relevant: int64, Q x (K+1). Relevant ones among them.
        n: Number of ranks, 1 to the size of the database.

    Returns:
        float64, Q, in [0, 1].

    Raises:
        ValueError: If the tables are not those of a retrieval, or `n` is out of range.

    Example:
        >>> precision_at(torch.tensor([[1, 4]]), torch.tensor([[1, 1]]), n=2)
        tensor([0.6250], dtype=torch.float64)
    """
    return _hits(items, relevant, n) / n


def recall_at(items: Tensor, relevant: Tensor, n: int) -> Tensor:
    """Expected share of the relevant items that are among the first n; 0 for a query without a relevant item.

    Args, returns and raises as `precision_at`.
    """
    return _hits(items, relevant, n) / relevant.sum(1).clamp(min=1)


def ndcg_at(items: Tensor, relevant: Tensor, n: int) -> Tensor:
    """Expected normalised discounted cumulative gain (NDCG) of the first n ranks.

    Gain 1 for a relevant item, discount 1 / log2(rank + 1). The ideal ranking has its relevant items first; it is the
    same for every order of the ties, so the expectation is exact (McSherry and Najork 2008). 0 for a query without a
    relevant item. Needs a table of n float64.

    Args, returns and raises as `precision_at`.
    """
    _check(items, relevant, n)
    ranks = torch.arange(2, n + 2, dtype=torch.float64, device=items.device)
    discounts = torch.cat([ranks.new_zeros(1), ranks.log2().reciprocal().cumsum(0)])
    after = items.cumsum(1)
    weight = discounts[after.clamp(max=n)] - discounts[(after - items).clamp(max=n)]
    gain = (weight * relevant / items.clamp(min=1)).sum(1)
    ideal = discounts[relevant.sum(1).clamp(max=n)]
    return torch.where(ideal > 0, gain / ideal.clamp(min=1), 0.0)


def _hits(items: Tensor, relevant: Tensor, n: int) -> Tensor:
    _check(items, relevant, n)
    before = items.cumsum(1) - items
    taken = torch.minimum((n - before).clamp(min=0), items)
    return (taken * relevant.double() / items.clamp(min=1)).sum(1)


def _check(items: Tensor, relevant: Tensor, n: int) -> None:
    check_tables(items, relevant)
    smallest = int(items.sum(1).min())
    if not 1 <= n <= smallest:
        raise ValueError(f"n must be 1 to {smallest}, the number of database items, got {n}")
