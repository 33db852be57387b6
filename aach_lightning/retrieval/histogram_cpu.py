"""The joint histogram on a CPU: a compiled kernel on threads over ranges of queries."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.retrieval.compiled import run_in_threads
from aach_lightning.retrieval.cpu_kernels import count_queries


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
