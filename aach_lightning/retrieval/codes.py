"""Codes and labels as packed bits: 64 of them in a word, checked on the way in."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from aach_lightning.retrieval.inputs import check_codes_shape, check_labels_shape

Values: TypeAlias = Any  # a tensor, or a numpy array of the same content

WORD = 64  # bits in a word
_PIECE = 1 << 19  # entries checked and packed at once: bounds the memory needed beside the result


def pack_codes(codes: Tensor) -> Tensor:
    """Pack binary codes into 64-bit words.

    Args:
        codes: N x K of any real dtype with values -1 and +1, or bool (True for +1); K from 1 to 1024, N may be 0.

    Returns:
        int64, N x ceil(K / 64). Bit i of a code is 1 where its entry i is +1; bits beyond K are 0.

    Raises:
        TypeError: If `codes` is not a real tensor.
        ValueError: If it is not N x K, K is out of range, or an entry is neither -1 nor +1 (NaN, 0, a relaxed code).

    Example:
        >>> pack_codes(torch.tensor([[1, -1, 1], [-1, -1, -1]]))
        tensor([[5],
                [0]])
    """
    check_codes_shape(codes, "codes")

    def bits(piece: Values) -> Values:
        plus = piece == 1
        _refuse(piece, plus | (piece == -1), "codes", "-1 or +1 (take the sign of relaxed codes first)")
        return plus

    return _pack(codes, bits)


def pack_labels(labels: Tensor) -> Tensor:
    """Pack multi-hot labels into 64-bit words.

    Args:
        labels: N x C of any real dtype or bool with values 0 and 1; C at least 1, N may be 0.

    Returns:
        int64, N x ceil(C / 64). Two items share a label where the bitwise and of their words is not 0.

    Raises:
        TypeError: If `labels` is not a real tensor.
        ValueError: If it is not N x C, or an entry is neither 0 nor 1.
    """
    check_labels_shape(labels, "labels")

    def bits(piece: Values) -> Values:
        ones = piece == 1
        _refuse(piece, ones | (piece == 0), "labels", "0 or 1 (multi-hot)")
        return ones

    return _pack(labels, bits)


def as_words(packed: Tensor) -> Tensor:
    """Bring bits that were packed elsewhere (`numpy.packbits`, any bit order) into 64-bit words.

    Args:
        packed: uint8, N x bytes; or int64 or uint64, N x words.

    Returns:
        int64, N x words, contiguous.

    Raises:
        TypeError: If the dtype is another.
        ValueError: If `packed` is not N x at least 1.

    Example:
        >>> as_words(torch.tensor([[255, 0, 1]], dtype=torch.uint8))
        tensor([[65791]])
    """
    if packed.dtype not in (torch.uint8, torch.int64, torch.uint64):
        raise TypeError(f"packed bits must be uint8, int64 or uint64, got {packed.dtype}")
    if packed.ndim != 2 or packed.shape[1] == 0:
        raise ValueError(f"packed bits must be N x words with at least one word, got shape {tuple(packed.shape)}")
    if packed.dtype == torch.uint8 and packed.shape[1] % 8:
        packed = torch.nn.functional.pad(packed, (0, -packed.shape[1] % 8))
    return packed.contiguous().view(torch.int64)


def zeros(rows: int, columns: int, device: torch.device) -> Tensor:
    """Table of int64 zeros; on a CPU in memory that the system has zeroed: torch would do so again on all threads."""
    if device.type == "cpu":
        return torch.from_numpy(np.zeros((rows, columns), np.int64))
    return torch.zeros(rows, columns, dtype=torch.int64, device=device)


def _refuse(values: Values, allowed: Values, name: str, wanted: str) -> None:
    if not bool(allowed.all()):
        raise ValueError(f"{name} must be {wanted}, found {values[~allowed][0].item()}")


def _pack(values: Tensor, bits: Callable[[Values], Values]) -> Tensor:
    rows, width = values.shape
    pack = _pack_in_numpy if values.device.type == "cpu" else _pack_in_torch
    packed = zeros(rows, -(-width // WORD), values.device)
    step = max(1, _PIECE // width)
    for first in range(0, rows, step):
        pack(values[first : first + step].detach(), bits, packed[first : first + step].view(torch.uint8))
    return packed


def _pack_in_numpy(piece: Tensor, bits: Callable[[Values], Values], octets: Tensor) -> None:
    # numpy packs faster, and does not wait for a second thread on a busy machine
    array = (piece.float() if piece.dtype == torch.bfloat16 else piece).numpy()
    ones = array if piece.dtype == torch.bool else bits(array)
    octets.numpy()[:, : -(-array.shape[1] // 8)] = np.packbits(ones, axis=1, bitorder="little")


def _pack_in_torch(piece: Tensor, bits: Callable[[Values], Values], octets: Tensor) -> None:
    ones = (piece if piece.dtype == torch.bool else bits(piece)).view(torch.uint8)
    ones = torch.nn.functional.pad(ones, (0, -ones.shape[1] % 8)).view(len(ones), -1, 8)
    weights = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8, device=piece.device)
    octets[:, : ones.shape[1]] = (ones * weights).sum(2, dtype=torch.uint8)
