"""Which M pairs an attacker sends: it has all images and texts of the pool, and no answer yet."""

import torch
from torch import Tensor
from torch.nn import functional as F


def spread_out(features: Tensor, count: int) -> Tensor:
    """Items that cover a feature space: each next one is the farthest from those before it (greedy k-center).

    No k items have more than twice the smallest possible covering radius (Gonzalez, 1985; Sener and Savarese, ICLR
    2018). The k items are the first k of any larger choice.

    Args:
        features: float, N x F; compared by their direction. The first item is the first choice.
        count: k, 1 to N.

    Returns:
        int64, k, positions, each once.

    Raises:
        ValueError: If count is outside 1 to N.
    """
    if not 1 <= count <= len(features):
        raise ValueError(f"count must lie in 1 to {len(features)} items, got {count}")
    directions = F.normalize(features.double(), dim=1)
    distances = torch.full((len(features),), torch.inf, dtype=torch.float64, device=features.device)
    chosen: list[int] = [0]
    while True:
        distances = torch.minimum(distances, 1 - directions @ directions[chosen[-1]])
        distances[chosen[-1]] = -torch.inf  # also where all others are equal to it
        if len(chosen) == count:
            return torch.tensor(chosen)
        chosen.append(int(distances.argmax()))


def least_certain(images: Tensor, texts: Tensor, count: int) -> Tensor:
    """Items whose bits a surrogate is least sure of: the mean |relaxed bit| of both modalities is smallest.

    Args:
        images: float in [-1, 1], N x K, relaxed codes.
        texts: float in [-1, 1], N x K, relaxed codes of the same items.
        count: 0 to N.

    Returns:
        int64, `count` positions, least certain first; ties in order.
    """
    certainty = images.abs().mean(dim=1) + texts.abs().mean(dim=1)
    return certainty.argsort(stable=True)[:count]
