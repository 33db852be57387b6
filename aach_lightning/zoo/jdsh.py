"""JDSH (Liu et al., SIGIR 2020): unsupervised, joint similarities weighted by their distribution."""

from dataclasses import dataclass

import torch
from torch import Tensor

from aach_lightning.config.method import JDSHConfig
from aach_lightning.data.pairs import PairBatch
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.zoo.unsupervised import UnsupervisedModule, cosines, reconstruction, sharpened

_SAMPLE = 1000  # train items whose similarities stand for those of all
_BINS = 100


@dataclass(frozen=True)
class Distribution:
    """How joint similarities of different items are distributed, with a peak between two tails.

    Attributes:
        peak: The most frequent value.
        left: Scale of the tail below it, a half of a normal distribution: its standard deviation.
        right: Scale of the tail above it, a half of a Laplace distribution: its mean deviation.
        lowest: Smallest value.
        highest: Largest value.
    """

    peak: float
    left: float
    right: float
    lowest: float
    highest: float


def joint_modal(images: Tensor, texts: Tensor, options: JDSHConfig) -> Tensor:
    """Joint similarities of m items, alpha S_I + beta S_T + gamma (C + C') / 2.

    C_ij is the cosine of row i of S_I and row j of S_T: whether the images like image i are those whose texts are like
    text j. It is made symmetric as in the authors' code.

    Args:
        images: m x m in [-1, 1], S_I, similarities of images.
        texts: m x m in [-1, 1], S_T, of texts.
        options: Their weights.

    Returns:
        m x m.
    """
    crossed = cosines(images, texts)
    direct = options.image_weight * images + options.text_weight * texts
    return direct + options.joint_weight * (crossed + crossed.T) / 2


def fit_distribution(similarity: Tensor) -> Distribution:
    """Fit the two tails to the similarities of different items by maximum likelihood.

    The authors' code has fixed numbers for two data sets; here they come from the train part. The peak is the middle of
    the highest of 100 bins.

    Args:
        similarity: m x m, m at least 2.
    """
    values = similarity[~torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)].double().cpu()
    lowest, highest = float(values.min()), float(values.max())
    counts = torch.histc(values, _BINS, lowest, highest)
    peak = lowest + (float(counts.argmax()) + 0.5) * (highest - lowest) / _BINS
    below, above = peak - values[values < peak], values[values > peak] - peak
    left = float(below.square().mean().sqrt()) if len(below) else 0.0
    right = float(above.mean()) if len(above) else 0.0
    return Distribution(peak, left, right, lowest, highest)


def weighted(similarity: Tensor, distribution: Distribution, options: JDSHConfig) -> Tensor:
    """Strengthen what is surely similar or dissimilar (distribution-based similarity decision and weighting).

    s (1 + w_l e^(lowest - s)) below peak - border_l left, s (1 + w_r e^(s - highest)) above peak + border_r right.

    Args:
        similarity: m x m.
        distribution: What they are compared with.
        options: The borders and the weights of both tails.

    Returns:
        m x m.
    """
    dissimilar = similarity < distribution.peak - options.left_border * distribution.left
    similar = similarity > distribution.peak + options.right_border * distribution.right
    left = 1 + options.left_weight * torch.exp(distribution.lowest - similarity)
    right = 1 + options.right_weight * torch.exp(similarity - distribution.highest)
    return torch.where(dissimilar, left, torch.where(similar, right, 1.0)) * similarity


def jdsh_loss(images: Tensor, texts: Tensor, similarity: Tensor, mu: float, intra_weight: float) -> Tensor:
    """The JDSH objective of a batch, cosines of codes against mu S, squared, mean over m x m.

    2 |mu S - cos(B_I, B_T)|^2 - mean_i cos(b_Ii, b_Ti) + lambda (|mu S - cos(B_I, B_I)|^2 + |mu S - cos(B_T, B_T)|^2)
    (the authors' code: both directions between modalities count, and the codes of a pair are drawn together).

    Args:
        images: m x K, B_I, relaxed codes of images.
        texts: m x K, B_T, of texts.
        similarity: m x m, S, symmetric, after options.
        mu: Scale of S.
        intra_weight: lambda, weight of both parts within a modality.

    Returns:
        Scalar.
    """
    wanted = mu * similarity
    between = reconstruction(images, texts, wanted) + reconstruction(texts, images, wanted)
    pairs = torch.cosine_similarity(images, texts).mean()
    within = reconstruction(images, images, wanted) + reconstruction(texts, texts, wanted)
    return between - pairs + intra_weight * within


class JDSHModule(UnsupervisedModule):
    """Trains a HashingNetwork on pairs without labels by JDSH.

    Codes are tanh(alpha x), alpha the root of the number of the epoch, as in the authors' code.
    """

    options: JDSHConfig

    def __init__(self, network: HashingNetwork, train: TrainPart, schedule: Schedule, options: JDSHConfig) -> None:
        super().__init__(network, train, schedule, options)
        sample = torch.arange(min(_SAMPLE, len(train.rows)))
        self.distribution = fit_distribution(joint_modal(*self.similarities(sample), options))

    def loss(self, images: Tensor, texts: Tensor, batch: PairBatch) -> Tensor:
        """The objective of both modalities; see `TargetModule`."""
        options = self.options
        similarity = joint_modal(*self.similarities(self.positions(batch.ids)), options)
        similarity = weighted(similarity, self.distribution, options)
        sharp = [sharpened(codes, self.sharpness) for codes in (images, texts)]
        return jdsh_loss(sharp[0], sharp[1], similarity, options.mu, options.intra_weight)
