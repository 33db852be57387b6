"""MAP of real-valued vectors ranked by cosine, for methods whose papers do not hash."""

import torch
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.retrieval.average_precision import expected_average_precision
from aach_lightning.retrieval.inputs import check_labels_shape, check_sides, check_vectors_shape
from aach_lightning.retrieval.tables import mean_over_queries

_EQUAL = 1e-6  # cosines of equal vectors differ by rounding
_ENTRIES = 1 << 20  # of a table that is sorted at once


def cosine_mean_average_precision(
    query_vectors: Tensor, query_labels: Tensor, database_vectors: Tensor, database_labels: Tensor
) -> float:
    """MAP over the whole ranking by cosine, expected over random order of ties, as `mean_average_precision` of codes.

    Neighbours in the ranking whose cosines differ by less than 1e-6 are tied: equal items, such as texts of the same
    words, must not be ranked by the order of their rows.

    Args:
        query_vectors: Q x K float.
        query_labels: Q x C with values 0 and 1.
        database_vectors: N x K float.
        database_labels: N x C with values 0 and 1.

    Returns and raises as `mean_average_precision`.

    Example:
        Relevant at ranks 1 and 3 of 3.

        >>> database = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
        >>> labels = torch.tensor([[1, 0], [0, 1], [1, 1]])
        >>> round(cosine_mean_average_precision(torch.tensor([[2.0, 0.1]]), labels[:1], database, labels), 4)
        0.8333
    """
    for side, vectors, labels in (
        ("query", query_vectors, query_labels),
        ("database", database_vectors, database_labels),
    ):
        check_vectors_shape(vectors, f"{side} vectors")
        check_labels_shape(labels, f"{side} labels")
    check_sides(query_vectors, query_labels, database_vectors, database_labels, "vectors")
    database, values, counts = F.normalize(database_vectors.double()), [], []
    step = max(1, _ENTRIES // len(database))
    for start in range(0, len(query_vectors), step):
        rows = slice(start, start + step)
        cosines, order = (F.normalize(query_vectors[rows].double()) @ database.T).sort(dim=1, descending=True)
        relevant = (query_labels[rows].double() @ database_labels.double().T > 0).long().gather(1, order)
        ties = torch.zeros_like(order)
        ties[:, 1:] = (cosines[:, :-1] - cosines[:, 1:] > _EQUAL).long().cumsum(dim=1)
        tables = [torch.zeros_like(order).scatter_add_(1, ties, part) for part in (torch.ones_like(order), relevant)]
        values.append(expected_average_precision(*tables))
        counts.append(relevant.sum(dim=1, keepdim=True))
    return mean_over_queries(torch.cat(values), torch.cat(counts)).value
