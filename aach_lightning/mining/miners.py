"""Which triplets to take from the Hamming distances of a target's codes. Labels are never seen here."""

from typing import Protocol

import torch
from torch import Tensor

from aach_lightning.mining.triplets import Triplets


class Miner(Protocol):
    """Distances to triplets.

    Attributes:
        within_batch: True where the distances of one batch are enough and all its pairs are used; False where anchors
            are ranked against all M queried pairs.
    """

    within_batch: bool

    def __call__(self, distances: Tensor, anchors: Tensor, generator: torch.Generator) -> Triplets:
        """Mine triplets.

        Args:
            distances: int64, N x M. Hamming distance of N items of one modality to M of the other; float64 where it was
                estimated from ranked lists.
            anchors: int64, rows of `distances` to mine for.
            generator: Source of all randomness.

        Returns:
            Triplets whose positives are strictly nearer than their negatives.
        """
        ...


class GapMiner:
    """All triplets of a batch whose negative is farther than their positive by at least `gap` bits.

    Args:
        gap: Bits, at least 1.
    """

    within_batch = True

    def __init__(self, gap: int) -> None:
        self.gap = gap

    def __call__(self, distances: Tensor, anchors: Tensor, generator: torch.Generator) -> Triplets:
        """Mine triplets; see `Miner`."""
        near = distances[anchors]
        position, positive, negative = (near[:, None, :] - near[:, :, None] >= self.gap).nonzero(as_tuple=True)
        return Triplets(anchors[position], positive, negative)


class SemiHardMiner:
    """Triplets of a batch whose negative is farther than their positive, but by little.

    The semi-hard triplets of FaceNet (Schroff et al., CVPR 2015), with the target's distances in the place of those of
    the network in training, which a miner does not see: the nearer two items stand in an anchor's ranking, the more
    their order says about the target's bits.

    Args:
        smallest: Least difference of the two distances in bits, at least 1.
        largest: Greatest difference of the two distances in bits, at least `smallest`.
    """

    within_batch = True

    def __init__(self, smallest: int, largest: int) -> None:
        self.smallest = smallest
        self.largest = largest

    def __call__(self, distances: Tensor, anchors: Tensor, generator: torch.Generator) -> Triplets:
        """Mine triplets; see `Miner`."""
        near = distances[anchors]
        gaps = near[:, None, :] - near[:, :, None]
        position, positive, negative = ((gaps >= self.smallest) & (gaps <= self.largest)).nonzero(as_tuple=True)
        return Triplets(anchors[position], positive, negative)


class RankMiner:
    """Positives from the nearest share of an anchor's ranking, negatives from its farthest share.

    Ties of the ranking are broken at random.

    Args:
        nearest: Share of the M items that positives are drawn from, in (0, 1).
        farthest: Share of the M items that negatives are drawn from, in (0, 1).
        per_anchor: Triplets drawn for each anchor.
    """

    within_batch = False

    def __init__(self, nearest: float, farthest: float, per_anchor: int) -> None:
        self.nearest = nearest
        self.farthest = farthest
        self.per_anchor = per_anchor

    def __call__(self, distances: Tensor, anchors: Tensor, generator: torch.Generator) -> Triplets:
        """Mine triplets; see `Miner`."""
        chosen = distances[anchors]
        items = chosen.shape[1]
        ties = torch.rand(chosen.shape, generator=generator, dtype=torch.float64)
        shuffled = ties.argsort(dim=1)
        ranking = shuffled.gather(1, chosen.gather(1, shuffled).argsort(dim=1, stable=True))
        head, tail = max(1, round(self.nearest * items)), max(1, round(self.farthest * items))
        draws = (len(anchors), self.per_anchor)
        positive = ranking.gather(1, torch.randint(head, draws, generator=generator))
        negative = ranking.gather(1, items - 1 - torch.randint(tail, draws, generator=generator))
        return _ordered(distances, anchors.repeat_interleave(self.per_anchor), positive.ravel(), negative.ravel())


class RandomMiner:
    """Two items at random; the nearer one is the positive.

    Args:
        per_anchor: Triplets drawn for each anchor.
    """

    within_batch = False

    def __init__(self, per_anchor: int) -> None:
        self.per_anchor = per_anchor

    def __call__(self, distances: Tensor, anchors: Tensor, generator: torch.Generator) -> Triplets:
        """Mine triplets; see `Miner`."""
        repeated = anchors.repeat_interleave(self.per_anchor)
        first, second = torch.randint(distances.shape[1], (2, len(repeated)), generator=generator)
        swap = distances[repeated, first] > distances[repeated, second]
        return _ordered(distances, repeated, torch.where(swap, second, first), torch.where(swap, first, second))


def _ordered(distances: Tensor, anchor: Tensor, positive: Tensor, negative: Tensor) -> Triplets:
    """Drop triplets whose negative is not strictly farther than their positive: they would teach nothing or lies."""
    keep = distances[anchor, positive] < distances[anchor, negative]
    return Triplets(anchor[keep], positive[keep], negative[keep])
