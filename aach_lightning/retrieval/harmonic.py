"""Sums of reciprocals over a range of ranks, without the loss of digits of a difference of harmonic numbers."""

import torch
from torch import Tensor

_EXACT = 256  # up to here from a table; beyond, the terms below leave out less than 2e-17


def reciprocal_sum(before: Tensor, count: Tensor) -> Tensor:
    """Sum of 1/(before + i) for i = 1..count.

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
