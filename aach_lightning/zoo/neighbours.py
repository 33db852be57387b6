"""A graph of nearest neighbours: which train items lie near which others, and how alike two neighbourhoods are."""

import torch
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.runtime import ranks
from aach_lightning.runtime.batches import BATCH


def find_neighbours(features: Tensor, texts: Tensor, gamma: float, count: int) -> tuple[Tensor, Tensor]:
    """The k nearest neighbours of each pair by c = gamma cos(images) + (1 - gamma) cos(texts), and P(l | i) of each.

    P(l | i) = c_il / (sum of c over the neighbours of i): the probability of a step from i to its neighbour l. Negative
    cosines count as 0; where all do, steps to all neighbours are equally likely. An item is a neighbour of itself.

    Args:
        features: float, n x F, rows of length 1, of images.
        texts: float, n x D, rows of length 1 or 0.
        gamma: Share of images, in [0, 1].
        count: k; all n items where there are fewer.

    Returns:
        Places of the neighbours, int64, n x k, and their probabilities, float, n x k, rows that add up to 1.
    """
    places, probabilities = [], []
    starts = range(0, len(features), BATCH)
    for start in track(starts, "finding neighbours", transient=True, disable=not ranks.is_first()):
        rows = slice(start, start + BATCH)
        similarity = gamma * features[rows] @ features.T + (1 - gamma) * texts[rows] @ texts.T
        nearest = similarity.topk(min(count, len(features)))
        weights = nearest.values.clamp(min=0)
        weights = torch.where(weights.sum(dim=1, keepdim=True) > 0, weights, 1.0)
        places.append(nearest.indices)
        probabilities.append(weights / weights.sum(dim=1, keepdim=True))
    return torch.cat(places), torch.cat(probabilities)


def coherence(places: Tensor, probabilities: Tensor, items: int) -> Tensor:
    """How alike the neighbourhoods of b items are: cosines of their rows of P.

    The numerator sum_l P(l | i) P(l | j) is the probability that a step from i and one from j lead to the same item.

    Args:
        places: int64, b x k, neighbours of each item.
        probabilities: float, b x k, P of each.
        items: n, how many items there are.

    Returns:
        b x b in [0, 1], 1 for an item with itself, 0 for two without a common neighbour.

    Example:
        >>> places = torch.tensor([[0, 1], [1, 2], [3, 4]])
        >>> coherence(places, torch.full((3, 2), 0.5), items=5)
        tensor([[1.0000, 0.5000, 0.0000],
                [0.5000, 1.0000, 0.0000],
                [0.0000, 0.0000, 1.0000]])
    """
    rows = F.normalize(probabilities.new_zeros(len(places), items).scatter_(1, places, probabilities))
    return rows @ rows.T
