"""The joint histogram in plain torch, for devices without a kernel of their own: blocked matrix products."""

import torch
from torch import Tensor

_PAIRS = 1 << 22  # query-item pairs looked at at once: bounds the memory
_QUERIES = 1 << 10


def count_in_torch(
    queries: Tensor, query_labels: Tensor, words: Tensor, label_words: Tensor, items: Tensor, relevant: Tensor
) -> None:
    """Add the joint histogram of packed codes and labels to two tables, on any device.

    Args and effect as `cpu_kernels.count_on_cpu`. Distances come from dot products of 0/1 vectors in float32, where
    whole numbers up to 1024 are exact (in TF32 too).
    """
    columns = items.shape[1]
    step = _PAIRS // _QUERIES
    for start in range(0, len(words), step):
        bits, label_bits = _unpack(words[start : start + step]), _unpack(label_words[start : start + step])
        for first in range(0, len(queries), _QUERIES):
            query_bits = _unpack(queries[first : first + _QUERIES])
            ones = query_bits.sum(1, keepdim=True) + bits.sum(1)
            distance = (ones - 2 * (query_bits @ bits.T)).long()
            hit = (_unpack(query_labels[first : first + _QUERIES]) @ label_bits.T) > 0
            row = torch.arange(len(query_bits), device=words.device).unsqueeze(1)
            bins = (row * columns + distance) * 2 + hit
            counts = torch.bincount(bins.flatten(), minlength=2 * columns * len(row)).view(len(row), columns, 2)
            items[first : first + _QUERIES] += counts.sum(2)
            relevant[first : first + _QUERIES] += counts[:, :, 1]


def _unpack(words: Tensor) -> Tensor:
    """Words to 0/1 as float32: N x W -> N x 64 W."""
    shifts = torch.arange(64, device=words.device)
    return ((words.unsqueeze(2) >> shifts) & 1).flatten(1).float()
