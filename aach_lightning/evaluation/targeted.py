"""Targeted mean average precision: how well a query finds what its attacker wants it to find."""

import torch
from torch import Tensor

from aach_lightning.evaluation.protocol import Searched
from aach_lightning.retrieval import mean_average_precision


def targeted_map(codes: Tensor, own: Tensor, wanted: Tensor, searched: Searched) -> float | None:
    """MAP where an item is relevant if it has a label that the attacker wants (t-MAP of DHTA, ECCV 2020).

    Args:
        codes: int8 in {-1, +1}, Q x K.
        own: uint8 in {0, 1}, Q x C, labels of the queries. One that has a wanted label itself is left out: to find it
            would be no success.
        wanted: uint8 in {0, 1}, Q x C.
        searched: The database.

    Returns:
        In [0, 1], expected over random ties; None where no query is left.
    """
    foreign = ~(own & wanted).bool().any(dim=1)
    if not bool(foreign.any()):
        return None
    return mean_average_precision(codes[foreign], wanted[foreign], searched.codes, searched.labels)


def wanted_labels(targets: Tensor, count: int) -> Tensor:
    """Columns of labels, int64 Q, as uint8 in {0, 1}, Q x count.

    Example:
        >>> wanted_labels(torch.tensor([2, 0]), 3)
        tensor([[0, 0, 1],
                [1, 0, 0]], dtype=torch.uint8)
    """
    return torch.nn.functional.one_hot(targets, count).to(torch.uint8)
