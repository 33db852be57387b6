"""The joint histogram of distance and relevance: all that a Hamming retrieval metric needs to know."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor

from aach_lightning.retrieval.codes import WORD, as_words, pack_codes, pack_labels, zeros
from aach_lightning.retrieval.cpu_kernels import count_on_cpu
from aach_lightning.retrieval.histogram_torch import count_in_torch
from aach_lightning.retrieval.inputs import MAX_CODE_LENGTH, check_retrieval_inputs, check_sides

CountKernel = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], None]


class JointHistogram(NamedTuple):
    """For each query, how many database items lie at each distance, and how many of them are relevant.

    Histograms of the same queries against disjoint parts of a database add up to that of the whole, exactly.

    Attributes:
        items: int64, Q x (K+1). Database items at distance 0..K.
        relevant: int64, Q x (K+1). Those of them that share a label with the query.
    """

    items: Tensor
    relevant: Tensor


def joint_histogram(
    query_codes: Tensor, query_labels: Tensor, database_codes: Tensor, database_labels: Tensor
) -> JointHistogram:
    """Count database items and relevant database items at each Hamming distance from each query.

    The Q x N matrix of distances is never written: beside the packed inputs, memory is of the size of the result.

    Args:
        query_codes: Q x K with values -1 and +1 (any real dtype), or bool; K from 1 to 1024.
        query_labels: Q x C with values 0 and 1. An item is relevant where it shares at least one label with the query.
        database_codes: N x K, as `query_codes`, on the same device.
        database_labels: N x C, as `query_labels`.

    Returns:
        Two int64 tables Q x (K+1) on the device of the inputs.

    Raises:
        TypeError: If an input is not a real tensor.
        ValueError: If there is no query or no item, shapes or devices do not fit, a code is not binary or a label is
            not 0/1.

    Example:
        >>> codes = torch.tensor([[1, 1], [1, -1], [-1, -1]])
        >>> labels = torch.tensor([[1, 0], [1, 1], [0, 1]])
        >>> items, relevant = joint_histogram(codes[:1], labels[:1], codes, labels)
        >>> items.tolist(), relevant.tolist()
        ([[1, 1, 1]], [[1, 1, 0]])
    """
    check_retrieval_inputs(query_codes, query_labels, database_codes, database_labels)
    return packed_joint_histogram(
        pack_codes(query_codes),
        pack_labels(query_labels),
        pack_codes(database_codes),
        pack_labels(database_labels),
        query_codes.shape[1],
    )


def packed_joint_histogram(
    query_codes: Tensor, query_labels: Tensor, database_codes: Tensor, database_labels: Tensor, code_length: int
) -> JointHistogram:
    """`joint_histogram` of codes and labels that are already packed, for a query set that meets many database parts.

    Args:
        query_codes: Packed codes of `pack_codes`, or packed elsewhere: uint8 Q x bytes, int64 or uint64 Q x words.
        query_labels: Packed labels, in the same forms.
        database_codes: As `query_codes`, same width and bit order.
        database_labels: As `query_labels`, same width and bit order.
        code_length: K, number of bits in a code; the other packed bits must agree between queries and database (all 0).

    Returns:
        As `joint_histogram`.

    Raises:
        TypeError: If a dtype is none of the above.
        ValueError: If there is no query or no item, shapes or devices do not fit, or bits beyond K differ.
    """
    queries, words = as_words(query_codes), as_words(database_codes)
    query_label_words, label_words = as_words(query_labels), as_words(database_labels)
    check_sides(queries, query_label_words, words, label_words)
    width = queries.shape[1] * WORD
    if not 1 <= code_length <= min(width, MAX_CODE_LENGTH):
        raise ValueError(f"code_length must be 1 to {min(width, MAX_CODE_LENGTH)} for these codes, got {code_length}")
    items, relevant = (zeros(len(queries), width + 1, queries.device) for _ in range(2))
    count_kernel(items.device)(queries, query_label_words, words, label_words, items, relevant)
    if bool(items[:, code_length + 1 :].any()):
        raise ValueError(f"packed codes differ in more than code_length = {code_length} bits: unused bits must be 0")
    return JointHistogram(items[:, : code_length + 1], relevant[:, : code_length + 1])


def count_kernel(device: torch.device) -> CountKernel:
    """The implementation for a device: numba on a CPU, Triton on a CUDA device where installed, else plain torch."""
    if device.type == "cpu":
        return count_on_cpu
    if device.type == "cuda" and find_spec("triton"):
        from aach_lightning.retrieval.histogram_triton import count_on_gpu

        return count_on_gpu
    return count_in_torch
