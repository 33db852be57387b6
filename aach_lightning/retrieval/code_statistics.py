"""Signs of a collapsed hash: bits that never change, and few distinct codes."""

import torch
from torch import Tensor

from aach_lightning.retrieval.codes import pack_codes
from aach_lightning.retrieval.inputs import check_not_empty


def bit_balance(codes: Tensor) -> Tensor:
    """Share of items whose bit is +1, for each bit: 0.5 when balanced, 0 or 1 when the bit carries nothing.

    Args:
        codes: N x K with values -1 and +1, N at least 1.

    Returns:
        float64, K, in [0, 1].

    Raises:
        TypeError: If `codes` is not a real tensor.
        ValueError: If `codes` is empty or not binary.

    Example:
        >>> bit_balance(torch.tensor([[1, -1], [1, 1]]))
        tensor([1.0000, 0.5000], dtype=torch.float64)
    """
    pack_codes(codes)  # refuses what is not binary
    check_not_empty(codes)
    return (codes > 0).sum(0).double() / len(codes)


def count_distinct_codes(codes: Tensor) -> int:
    """Number of different codes among N; 1 when the hash has collapsed to a constant.

    Args:
        codes: N x K with values -1 and +1, N at least 1.

    Raises:
        TypeError: If `codes` is not a real tensor.
        ValueError: If `codes` is empty or not binary.

    Example:
        >>> count_distinct_codes(torch.tensor([[1, -1], [1, 1], [1, -1]]))
        2
    """
    packed = pack_codes(codes)
    check_not_empty(codes)
    return len(torch.unique(packed, dim=0))
