"""CMHH (Cao et al., ECCV 2018): a focal loss that concentrates similar items within a small Hamming radius."""

import torch
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.config.method import CMHHConfig
from aach_lightning.data.pairs import PairBatch
from aach_lightning.targets.method import TargetModule
from aach_lightning.zoo.auxiliary import similarity_of

_NEAREST = 1e-3  # beta d of dissimilar items at one place, where the likelihood would be infinite


def normalised_distance(images: Tensor, texts: Tensor) -> Tensor:
    """Hamming distance extended to relaxed codes by their angle, d = K/4 |h/|h| - g/|g||^2 = K/2 (1 - cos).

    Args:
        images: N x K.
        texts: M x K.

    Returns:
        N x M in [0, K]; the Hamming distance itself where both are binary.
    """
    cosine = F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T
    return images.shape[1] / 2 * (1 - cosine).clamp(min=0)


def exponential_focal_loss(distance: Tensor, similarity: Tensor, beta: float, gamma: float) -> Tensor:
    """Focal likelihood of similarities, P(similar) = p = e^(-beta d).

    sum w_ij [ S (1 - p)^gamma beta d - (1 - S) p^gamma log(1 - p) ] / (N M), w the inverse share of similar (or of
    dissimilar) items among all, so that both kinds weigh the same (the paper's exponential focal loss).

    Args:
        distance: N x M, d, of two modalities.
        similarity: N x M in {0, 1}, S.
        beta: How fast similarity falls with distance, per bit.
        gamma: How much what is right already is passed over; 0 for the plain likelihood.

    Returns:
        Scalar.
    """
    scaled = beta * distance
    similar = _focal(scaled, gamma)
    apart = scaled.clamp(min=_NEAREST)
    dissimilar = -torch.exp(-gamma * apart) * torch.log(-torch.expm1(-apart))
    count = similarity.sum()
    rest = similarity.numel() - count
    # each kind's mean: w_ij / (N M) is one over their number
    return (similarity * similar).sum() / count.clamp(min=1) + ((1 - similarity) * dissimilar).sum() / rest.clamp(min=1)


def exponential_quantisation(relaxed: Tensor, beta: float, gamma: float) -> Tensor:
    """Mean over items of (1 - e^(-beta d))^gamma beta d, d = K/2 (1 - cos(|h|, 1)): entries of one size are binary.

    Args:
        relaxed: N x K.
        beta: As in `exponential_focal_loss`.
        gamma: As there.

    Returns:
        Scalar.
    """
    size = relaxed.abs()
    distance = relaxed.shape[1] / 2 * (1 - F.normalize(size, dim=1).sum(dim=1) / relaxed.shape[1] ** 0.5).clamp(min=0)
    return _focal(beta * distance, gamma).mean()


def _focal(scaled: Tensor, gamma: float) -> Tensor:
    """-(1 - p)^gamma log p, p = e^-x."""
    # the power has no derivative at 0
    return (-torch.expm1(-scaled.clamp(min=1e-12))).pow(gamma) * scaled


class CMHHModule(TargetModule):
    """Trains a HashingNetwork on labelled pairs by CMHH: all pairs of one image and one text of a batch.

    The two kinds of pairs are weighted by their shares in the batch, where the paper counts them in the train part.
    """

    options: CMHHConfig

    def loss(self, images: Tensor, texts: Tensor, batch: PairBatch) -> Tensor:
        """The objective of both modalities; see `TargetModule`."""
        beta, gamma = self.options.beta, self.options.gamma
        similarity = similarity_of(batch.labels, batch.labels)
        focal = exponential_focal_loss(normalised_distance(images, texts), similarity, beta, gamma)
        halves = [exponential_quantisation(half, beta, gamma) for half in (images, texts)]
        return focal + self.options.quantisation * (halves[0] + halves[1])
