"""The MAP that needs no knowledge at all."""

import torch
from torch import Tensor

from aach_lightning.retrieval.metrics import mean_average_precision


def chance_level(query_labels: Tensor, database_labels: Tensor) -> float:
    """MAP of a system that answers every input with one constant code: the expectation over random rankings.

    Args:
        query_labels: Q x C with values 0 and 1.
        database_labels: N x C with values 0 and 1.

    Raises:
        ValueError: As `mean_average_precision`.

    Example:
        >>> chance_level(torch.tensor([[1, 0]]), torch.tensor([[1, 0], [0, 1]]))
        0.75
    """
    query, database = torch.ones(len(query_labels), 1), torch.ones(len(database_labels), 1)
    return mean_average_precision(query, query_labels, database, database_labels)
