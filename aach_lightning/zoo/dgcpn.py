"""DGCPN (Yu, Zhou, Zhan and Tao, AAAI 2021): unsupervised, similarities by the coherence of graph neighbours."""

import torch
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.config.method import DGCPNConfig
from aach_lightning.data.pairs import PairBatch
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.runtime import ranks
from aach_lightning.runtime.batches import BATCH
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.zoo.unsupervised import UnsupervisedModule, cosines, reconstruction


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


def half_binary(images: Tensor, texts: Tensor, similarity: Tensor) -> Tensor:
    """Mean of |S - cos(H_I, sign H_T)|^2 and |S - cos(sign H_I, H_T)|^2, each the mean over m x m.

    A real half learns against a binary one, so that codes fit the search, where both are binary.

    Args:
        images: m x K, H_I, relaxed codes of images.
        texts: m x K, H_T, of texts.
        similarity: m x m, S.

    Returns:
        Scalar.
    """
    image_codes, text_codes = (binary_codes(part).to(part.dtype) for part in (images, texts))
    return (reconstruction(images, text_codes, similarity) + reconstruction(image_codes, texts, similarity)) / 2


def dgcpn_loss(
    images: Tensor, texts: Tensor, similarity: Tensor, pair_weight: float, consistency_weight: float
) -> Tensor:
    """The DGCPN objective of a batch of m pairs, from the three kinds of similarity that the paper names.

    Coherence of neighbours: `half_binary`. Coexistence: mean_i (1 - cos(h_Ii, h_Ti))^2, the halves of a pair agree.
    Consistency: |cos(H_I, H_I) - cos(H_I, H_T)|^2 + |cos(H_T, H_T) - cos(H_I, H_T)|^2, mean over m x m, similarities
    within and between modalities agree.

    Args:
        images: m x K, H_I, relaxed codes of images.
        texts: m x K, H_T, of texts.
        similarity: m x m, S.
        pair_weight: Of coexistence.
        consistency_weight: Of consistency.

    Returns:
        Scalar.
    """
    between = cosines(images, texts)
    coexistence = (1 - between.diagonal()).square().mean()
    consistency = reconstruction(images, images, between) + reconstruction(texts, texts, between)
    return half_binary(images, texts, similarity) + pair_weight * coexistence + consistency_weight * consistency


class DGCPNModule(UnsupervisedModule):
    """Trains a HashingNetwork on pairs without labels by DGCPN.

    The three kinds of similarity (graph-neighbour coherence, coexistence, consistency within and between modalities),
    conditional probabilities over neighbours and half-binary steps are the paper's. How they are put into numbers is
    ours, without a look at its formulas: the coherence is a cosine, so that it lies in [0, 1] for any number of
    neighbours, and S = alpha (2 G - 1) + (1 - alpha) (gamma S_I + (1 - gamma) S_T) spans the range of cosines of codes.
    """

    options: DGCPNConfig
    places: Tensor
    probabilities: Tensor

    def __init__(self, network: HashingNetwork, train: TrainPart, schedule: Schedule, options: DGCPNConfig) -> None:
        super().__init__(network, train, schedule, options)
        places, probabilities = find_neighbours(self.features, self.texts, options.gamma, options.neighbours)
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("probabilities", probabilities, persistent=False)

    def loss(self, images: Tensor, texts: Tensor, batch: PairBatch) -> Tensor:
        """The objective of both modalities; see `TargetModule`."""
        options, positions = self.options, self.positions(batch.ids)
        of_images, of_texts = self.similarities(positions)
        direct = options.gamma * of_images + (1 - options.gamma) * of_texts
        coherent = coherence(self.places[positions], self.probabilities[positions], len(self.rows))
        similarity = torch.lerp(direct, 2 * coherent - 1, options.alpha)
        return dgcpn_loss(images, texts, similarity, options.pair_weight, options.consistency_weight)
