"""DGCPN (Yu, Zhou, Zhan and Tao, AAAI 2021): unsupervised, similarities by the coherence of graph neighbours."""

import torch
from torch import Tensor

from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.zoo.neighbours import coherence, find_neighbours
from aach_lightning.zoo.unsupervised import UnsupervisedModule, cosines, reconstruction


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

    Args:
        network: The network that gets trained; its inputs are what the data loaders give (images or features).
        train: What it learns from.
        schedule: How long and how fast.
        gamma: Share of images in what makes two pairs neighbours.
        neighbours: k, how many each pair has, itself among them; all train items where there are fewer.
        alpha: Share of the coherence of neighbours, G, in the similarity.
        pair_weight: Weight of coexistence.
        consistency_weight: Weight of consistency.
    """

    places: Tensor
    probabilities: Tensor

    def __init__(
        self,
        network: HashingNetwork,
        train: TrainPart,
        schedule: Schedule,
        *,
        gamma: float,
        neighbours: int,
        alpha: float,
        pair_weight: float,
        consistency_weight: float,
    ) -> None:
        super().__init__(network, train, schedule)
        self.gamma, self.alpha = gamma, alpha
        self.pair_weight, self.consistency_weight = pair_weight, consistency_weight
        places, probabilities = find_neighbours(self.features, self.texts, gamma, neighbours)
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("probabilities", probabilities, persistent=False)

    def pairs_loss(self, images: Tensor, texts: Tensor, positions: Tensor) -> Tensor:
        """The objective of a batch; see `UnsupervisedModule`."""
        of_images, of_texts = self.similarities(positions)
        direct = self.gamma * of_images + (1 - self.gamma) * of_texts
        coherent = coherence(self.places[positions], self.probabilities[positions], len(self.rows))
        similarity = torch.lerp(direct, 2 * coherent - 1, self.alpha)
        return dgcpn_loss(images, texts, similarity, self.pair_weight, self.consistency_weight)
