"""The compiled kernels of Hamming retrieval, in one file: numba's cache notices only changes in the file of the caller.

Codes and labels of the database come as uint64 with one row a word and one column an item, so that the loops over items
become vector instructions.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from aach_lightning.retrieval.compiled import compile_kernel

BLOCK = 2048  # items whose bins are worked out at once: with their codes and labels they stay near the core
TILE = 32  # queries that pass over a block while it is there
COPIES = 4  # of the counters: items in a row often fall into one bin, and each increment would wait for the one before


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
