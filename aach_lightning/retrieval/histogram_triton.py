"""The joint histogram on a CUDA device: one Triton kernel that writes counts only, never the Q x N distances.

Triton looks up annotations as if they were code, so its functions carry none but `constexpr`.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024  # items a program looks at in one step
PROGRAMS = 8192  # enough to fill a large device several times over, so that none of it waits for the last


@triton.jit
def count_bits(word):  # type: ignore[no-untyped-def]
    """Number of set bits of each int32, by adding up neighbours; the masks remove the sign bits that shifts copy in."""
    word = word - ((word >> 1) & 0x55555555)
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    word = (word + (word >> 4)) & 0x0F0F0F0F
    return (word * 0x01010101) >> 24


@triton.jit  # type: ignore[untyped-decorator]
def count_kernel(  # type: ignore[no-untyped-def]
    queries,
    query_labels,
    words,
    label_words,
    counts,
    n,
    stride,
    code_words: tl.constexpr,
    label_width: tl.constexpr,
    bins: tl.constexpr,
    block: tl.constexpr,
):
    """Count 2 x distance + relevance of one query against every `stride`-th block of the database.

    Args:
        queries: int32, Q x code_words.
        query_labels: int32, Q x label_width.
        words: int32, code_words x n.
        label_words: int32, label_width x n.
        counts: int32, Q x bins; the last bin takes what lies beyond the database.
        n: Number of items.
        stride: Number of programs a query.
        code_words: 32-bit words in a code.
        label_width: 32-bit words in a label.
        bins: Power of two above 2 x (32 code_words) + 1.
        block: Items in one step.
    """
    query = tl.program_id(0).to(tl.int64)
    total = tl.zeros([bins], dtype=tl.int32)
    for start in range(tl.program_id(1) * block, n, stride * block):
        item = start + tl.arange(0, block)
        inside = item < n
        distance = tl.zeros([block], dtype=tl.int32)
        for i in range(code_words):
            word = tl.load(words + tl.cast(i, tl.int64) * n + item, mask=inside, other=0)
            distance += count_bits(word ^ tl.load(queries + query * code_words + i))
        shared = tl.zeros([block], dtype=tl.int32)
        for i in range(label_width):
            label = tl.load(label_words + tl.cast(i, tl.int64) * n + item, mask=inside, other=0)
            shared |= label & tl.load(query_labels + query * label_width + i)
        index = tl.where(inside, distance * 2 + (shared != 0).to(tl.int32), bins - 1)
        total += tl.histogram(index, bins)
    tl.atomic_add(counts + query * bins + tl.arange(0, bins), total)


def count_on_gpu(
    queries: Tensor, query_labels: Tensor, words: Tensor, label_words: Tensor, items: Tensor, relevant: Tensor
) -> None:
    """Add the joint histogram of packed codes and labels on a CUDA device to two tables.

    Args and effect as `cpu_kernels.count_on_cpu`; N below 2^30.
    """
    columns = items.shape[1]
    bins = triton.next_power_of_2(2 * columns + 1)
    counts = torch.zeros(len(queries), bins, dtype=torch.int32, device=items.device)
    blocks = triton.cdiv(len(words), BLOCK)
    stride = min(blocks, max(1, triton.cdiv(PROGRAMS, len(queries))))
    query_halves, label_halves = _halves(queries), _halves(query_labels)
    with torch.cuda.device(items.device):
        count_kernel[(len(queries), stride)](
            query_halves,
            label_halves,
            _halves(words).T.contiguous(),
            _halves(label_words).T.contiguous(),
            counts,
            len(words),
            stride,
            code_words=query_halves.shape[1],
            label_width=label_halves.shape[1],
            bins=bins,
            block=BLOCK,
        )
    pairs = counts[:, : 2 * columns].reshape(len(queries), columns, 2)
    items += pairs.sum(2)
    relevant += pairs[:, :, 1]


def _halves(words: Tensor) -> Tensor:
    """64-bit words as twice as many of 32 bits; the order of the halves is the same on both sides."""
    return words.contiguous().view(torch.int32)
