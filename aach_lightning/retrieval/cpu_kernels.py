"""Hamming retrieval on a CPU. All kernels lie in one file: numba's cache notices only changes in that of the caller.

Codes and labels of the database come as uint64 with one row a word and one column an item, so that the loops over items
become vector instructions.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])

BLOCK = 2048  # items whose bins are worked out at once: with their codes and labels they stay near the core
TILE = 32  # queries that pass over a block while it is there
COPIES = 4  # of the counters: items in a row often fall into one bin, and each increment would wait for the one before


def compile_kernel(function: Function) -> Function:
    """Compile `function` with numba at its first call; it then runs without the GIL.

    The machine code is kept beside the source file, else in the user's cache folder. Where neither can be written (a
    read-only container) the kernel is compiled anew in each process instead of failing at import.
    """
    try:
        return cast(Function, njit(function, nogil=True, cache=True))
    except RuntimeError:  # numba found no folder that it may write to
        return cast(Function, njit(function, nogil=True))


def _popcount(_typing_context: Any, _word: Any) -> Any:
    """Number of set bits of a uint64, as one machine instruction."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


popcount: Any = intrinsic(_popcount)


@compile_kernel
def find_bins(query: Any, query_label: Any, words: Any, label_words: Any, bins: Any) -> None:
    """Write 2 x distance + relevance of each item into `bins`.

    Args:
        query: uint64, W, packed code.
        query_label: uint64, L, packed labels.
        words: uint64, W x n.
        label_words: uint64, L x n.
        bins: uint16, n.
    """
    code, labels, first_words, first_labels = query[0], query_label[0], words[0], label_words[0]
    for j in range(bins.shape[0]):
        hit = np.uint64((labels & first_labels[j]) != np.uint64(0))
        bins[j] = np.uint16((popcount(code ^ first_words[j]) << np.uint64(1)) | hit)
    for i in range(1, query.shape[0]):
        code, next_words = query[i], words[i]
        for j in range(bins.shape[0]):
            bins[j] += np.uint16(popcount(code ^ next_words[j]) << np.uint64(1))
    for i in range(1, query_label.shape[0]):
        labels, next_labels = query_label[i], label_words[i]
        for j in range(bins.shape[0]):
            bins[j] |= np.uint16((labels & next_labels[j]) != np.uint64(0))


@compile_kernel
def count_bins(bins: Any, counts: Any) -> None:
    """Count how often each value stands in `bins`, in any row of `counts`.

    Args:
        bins: uint16, n.
        counts: uint32, COPIES x values; the rows belong together.
    """
    whole = bins.shape[0] - bins.shape[0] % COPIES
    for j in range(0, whole, COPIES):
        for copy in range(COPIES):
            counts[copy, bins[j + copy]] += np.uint32(1)
    for j in range(whole, bins.shape[0]):
        counts[0, bins[j]] += np.uint32(1)


@compile_kernel
def count_queries(
    queries: Any, query_labels: Any, words: Any, label_words: Any, items: Any, relevant: Any, first: int, last: int
) -> None:
    """Add the joint histograms of the queries first..last to two tables.

    Args:
        queries: uint64, Q x W.
        query_labels: uint64, Q x L.
        words: uint64, W x N, N below 2^32.
        label_words: uint64, L x N.
        items: int64, Q x (64 W + 1).
        relevant: int64, Q x (64 W + 1).
        first: First query.
        last: One after the last query.
    """
    bins = np.empty(BLOCK, np.uint16)
    counts = np.zeros((TILE, COPIES, 2 * items.shape[1]), np.uint32)
    for tile in range(first, last, TILE):
        width = min(TILE, last - tile)
        for start in range(0, words.shape[1], BLOCK):
            stop = min(start + BLOCK, words.shape[1])
            block, block_words, block_labels = bins[: stop - start], words[:, start:stop], label_words[:, start:stop]
            for row in range(width):
                find_bins(queries[tile + row], query_labels[tile + row], block_words, block_labels, block)
                count_bins(block, counts[row])
        for row in range(width):
            for distance in range(items.shape[1]):
                for copy in range(COPIES):
                    hits = np.int64(counts[row, copy, 2 * distance + 1])
                    items[tile + row, distance] += hits + np.int64(counts[row, copy, 2 * distance])
                    relevant[tile + row, distance] += hits
            counts[row] = np.uint32(0)


@compile_kernel
def rank_queries(
    queries: Any,
    query_labels: Any,
    words: Any,
    label_words: Any,
    max_rank: int,
    max_hits: int,
    sums: Any,
    hits: Any,
    relevant: Any,
    first: int,
    last: int,
) -> None:
    """Rank the database by distance, ties in database order, and add up the precisions at the relevant ranks.

    Args:
        queries: uint64, Q x W.
        query_labels: uint64, Q x L.
        words: uint64, W x N.
        label_words: uint64, L x N.
        max_rank: Ranks looked at.
        max_hits: Relevant items looked at.
        sums: float64, Q; set to the sum of precisions.
        hits: int64, Q; set to the number of relevant items in that sum.
        relevant: int64, Q; set to the number of relevant items in the database.
        first: First query.
        last: One after the last query.
    """
    n = words.shape[1]
    bins, ranked = np.empty(n, np.uint16), np.empty(n, np.uint8)
    starts = np.empty(64 * words.shape[0] + 2, np.int64)  # next free rank of each distance
    for q in range(first, last):
        find_bins(queries[q], query_labels[q], words, label_words, bins)
        starts[:] = 0
        for j in range(n):
            starts[(bins[j] >> 1) + 1] += 1
        for distance in range(1, starts.shape[0]):
            starts[distance] += starts[distance - 1]
        total = 0
        for j in range(n):
            distance, hit = bins[j] >> 1, bins[j] & 1
            ranked[starts[distance]] = hit
            starts[distance] += 1
            total += hit
        found, precisions = 0, 0.0
        for rank in range(min(n, max_rank)):
            if found == max_hits:
                break
            if ranked[rank]:
                found += 1
                precisions += found / (rank + 1)
        sums[q], hits[q], relevant[q] = precisions, found, total


def run_in_threads(kernel: Callable[[int, int], None], rows: int) -> None:
    """Call `kernel(first, last)` on ranges that together cover 0..rows, on as many threads as torch is set to use.

    Threads of our own instead of numba's: no second OpenMP pool beside torch's, no trouble after a fork, safe to call
    from several Python threads at once.

    Args:
        kernel: Works on the rows first..last (last excluded); must release the GIL to gain from the threads.
        rows: Number of rows, at least 1.
    """
    workers = min(torch.get_num_threads(), rows)
    if workers <= 1:
        kernel(0, rows)
        return
    # Eight ranges a thread: a core that is busy elsewhere does not hold up the rest.
    bounds = np.linspace(0, rows, min(rows, 8 * workers) + 1).astype(int).tolist()
    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(kernel, first, last) for first, last in pairwise(bounds)]:
            future.result()


def count_on_cpu(
    queries: Tensor, query_labels: Tensor, words: Tensor, label_words: Tensor, items: Tensor, relevant: Tensor
) -> None:
    """Add the joint histogram of packed codes and labels on the CPU to two tables.

    Args:
        queries: int64, Q x W, packed codes.
        query_labels: int64, Q x L, packed labels.
        words: int64, N x W, packed codes of the database.
        label_words: int64, N x L, packed labels of the database.
        items: int64, Q x (64 W + 1), contiguous; grows by the number of items at each distance.
        relevant: int64, as `items`; grows by the number of relevant items at each distance.
    """
    arrays = kernel_arrays(queries, query_labels, words, label_words)
    tables = items.numpy(), relevant.numpy()
    run_in_threads(lambda first, last: count_queries(*arrays, *tables, first, last), len(queries))


def kernel_arrays(
    queries: Tensor, query_labels: Tensor, words: Tensor, label_words: Tensor
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """The four packed tensors as the compiled kernels take them: queries by row, the database by column."""
    return _unsigned(queries), _unsigned(query_labels), _unsigned(words.T), _unsigned(label_words.T)


def _unsigned(words: Tensor) -> NDArray[np.uint64]:
    return np.ascontiguousarray(words.numpy()).view(np.uint64)
