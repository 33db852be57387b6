"""Average precision from the joint histogram, in closed form: expected over ties, best, worst, and that of chance."""

from collections.abc import Callable

import torch
from torch import Tensor

from aach_lightning.retrieval.tables import check_tables, row_pieces

# Items before a group of ties, relevant ones before it, items in it, relevant ones in it -> sum of precisions in it.
GroupSum = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

_EXACT = 256  # reciprocals summed in a table up to here; beyond, the series leaves out less than 2e-17


def expected_average_precision(items: Tensor, relevant: Tensor) -> Tensor:
    """Average precision over the whole ranking, expected when items at one distance are put in random order.

    McSherry and Najork, "Computing information retrieval performance measures efficiently in the presence of tied
    scores", ECIR 2008. With n items of which r are relevant in a group of ties, and N and R before it, the group adds
    r/n * sum_{i=1..n} (R + 1 + (i-1)(r-1)/(n-1)) / (N + i) to the sum of precisions.

    Args:
        items: int64, Q x (K+1). Database items at each distance.
        relevant: int64, Q x (K+1). Relevant ones among them.

    Returns:
        float64, Q, in [0, 1]; 0 where a query has no relevant item (`mean_over_queries` leaves these out).

    Raises:
        ValueError: If the tables are empty, differ in shape or are not counts.

    Example:
        >>> expected_average_precision(torch.tensor([[2, 1]]), torch.tensor([[1, 0]]))
        tensor([0.7500], dtype=torch.float64)
    """
    return _average(items, relevant, _expected)


def best_average_precision(items: Tensor, relevant: Tensor) -> Tensor:
    """Largest average precision that any order of the ties can give: relevant items first in each group.

    Args, returns and raises as `expected_average_precision`.
    """
    return _average(items, relevant, _best)


def worst_average_precision(items: Tensor, relevant: Tensor) -> Tensor:
    """Smallest average precision that any order of the ties can give: relevant items last in each group.

    Args, returns and raises as `expected_average_precision`.
    """
    return _average(items, relevant, _worst)


def chance_average_precision(items: Tensor, relevant: Tensor) -> Tensor:
    """Average precision expected of a random ranking, which is that of a code that is the same for all items.

    Args, returns and raises as `expected_average_precision`.

    Example:
        >>> chance_average_precision(torch.tensor([[1, 1]]), torch.tensor([[1, 0]]))
        tensor([0.7500], dtype=torch.float64)
    """
    check_tables(items, relevant)
    return expected_average_precision(items.sum(1, keepdim=True), relevant.sum(1, keepdim=True))


def _expected(before: Tensor, relevant_before: Tensor, n: Tensor, r: Tensor) -> Tensor:
    reciprocals = reciprocal_sum(before, n)
    # sum (i-1)/(N+i) = n - (N+1) sum 1/(N+i)
    growth = (n - (before + 1) * reciprocals) * (r - 1) / (n - 1).clamp(min=1)
    return r.double() / n.clamp(min=1) * ((relevant_before + 1) * reciprocals + growth)


def _best(before: Tensor, relevant_before: Tensor, n: Tensor, r: Tensor) -> Tensor:
    # (R+j)/(N+j) = 1 - (N-R)/(N+j)
    return r - (before - relevant_before) * reciprocal_sum(before, r)


def _worst(before: Tensor, relevant_before: Tensor, n: Tensor, r: Tensor) -> Tensor:
    return _best(before + n - r, relevant_before, n, r)


def _average(items: Tensor, relevant: Tensor, group_sum: GroupSum) -> Tensor:
    check_tables(items, relevant)
    result = torch.empty(len(items), dtype=torch.float64, device=items.device)
    for rows in row_pieces(items):
        n, r = items[rows], relevant[rows]
        before, relevant_before = n.cumsum(1) - n, r.cumsum(1) - r
        total = group_sum(before, relevant_before, n, r).sum(1)
        result[rows] = total / r.sum(1).clamp(min=1)
    return result


def reciprocal_sum(before: Tensor, count: Tensor) -> Tensor:
    """Sum of 1/(before + i) for i = 1..count, without the loss of digits of a difference of harmonic numbers.

    With H(m) = log m + c + 1/(2m) - 1/(12m^2) + 1/(120m^4) - ..., the difference H(before + count) - H(before) is taken
    term by term, the logarithms as log1p(count / before): it keeps its relative accuracy where it is tiny.

    Args:
        before: int64, any shape, at least 0.
        count: int64, same shape, at least 0.

    Returns:
        float64, same shape.

    Example:
        >>> reciprocal_sum(torch.tensor([0, 2]), torch.tensor([3, 2]))
        tensor([1.8333, 0.5833], dtype=torch.float64)
    """
    after = before + count
    table = torch.cat([torch.zeros(1), torch.arange(1, _EXACT + 1, dtype=torch.float64).reciprocal().cumsum(0)])
    table = table.to(before.device)
    head = table[after.clamp(max=_EXACT)] - table[before.clamp(max=_EXACT)]
    start, end = before.clamp(min=_EXACT).double(), after.clamp(min=_EXACT).double()
    length = end - start
    # 1 * log1p(x): torch would cut log1p alone into pieces for all its threads, however few the numbers
    tail: Tensor = torch.special.xlog1py(1.0, length / start)
    tail += length * (start + end) / (12 * (start * end) ** 2) - length / (2 * start * end)
    tail += (end**-4 - start**-4) / 120
    return head + tail
