"""ACMR (Wang et al., ACM MM 2017): one space for both modalities, learned against a classifier of modalities."""

import math

from torch import Tensor, nn

from aach_lightning.config.method import ACMRConfig
from aach_lightning.data.pairs import PairBatch
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.zoo.auxiliary import (
    AuxiliaryModule,
    dense,
    label_prediction,
    reverse_gradient,
    similarity_of,
    told_apart,
)


def reversal_strength(progress: float) -> float:
    """How strongly gradients of the modality classifier are reversed, 2 / (1 + e^(-10 p)) - 1: 0 at first, then 1.

    Args:
        progress: p, share of the training that is over, in [0, 1].

    Example:
        >>> [round(reversal_strength(progress), 3) for progress in (0.0, 0.1, 1.0)]
        [0.0, 0.462, 1.0]
    """
    return 2 / (1 + math.exp(-10 * progress)) - 1


def triplet_constraints(anchors: Tensor, others: Tensor, similarity: Tensor, negatives: float, margin: float) -> Tensor:
    """Mean over anchors of l(v, t+) + negatives max(0, margin - l(v, t-)) over all their triplets.

    The two parts of a triplet do not depend on each other: the mean over triplets is that over positives and that over
    negatives. The paper draws some triplets of a batch, and takes l = |v - t|; here l = |v - t| / sqrt(K), in [0, 2],
    so that a margin means the same for every code length. A part without items is 0.

    Args:
        anchors: N x K of one modality.
        others: M x K of the other one.
        similarity: N x M in {0, 1}.
        negatives: Weight of the second part, lambda.
        margin: How far dissimilar items shall be.

    Returns:
        Scalar.
    """
    squares = anchors.square().sum(dim=1)[:, None] + others.square().sum(dim=1) - 2 * anchors @ others.T
    distance = (squares / anchors.shape[1]).clamp(min=1e-12).sqrt()  # the root has no derivative at 0
    near = _mean_where(distance, similarity)
    far = _mean_where((margin - distance).clamp(min=0), 1 - similarity)
    return (near + negatives * far).mean()


def _mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum(dim=1) / chosen.sum(dim=1).clamp(min=1)


class ACMRModule(AuxiliaryModule):
    """Trains a HashingNetwork on labelled pairs by ACMR; the common space is that of its relaxed codes.

    ACMR ranks by the cosine of real vectors and has no loss for binary ones; as a target it is hashed by their signs,
    and its report measures both (`validation_map_cosine`). A feature projector minimises alpha times the loss of
    invariance between modalities (triplets) plus beta times that of discrimination within them (labels), minus that of
    the modality classifier, through a gradient reversal layer whose strength grows as in the public code. That code's
    triplets differ: the hardest negative alone, squared distances, max(0, 0.1 + 5 l+ - l-), and 100 times the labels.
    Ours: all triplets of a batch, and no penalty on large weights, as the space is bounded by a tanh.
    """

    ranks_vectors = True
    options: ACMRConfig

    def __init__(self, network: HashingNetwork, train: TrainPart, schedule: Schedule, options: ACMRConfig) -> None:
        super().__init__(network, train, schedule, options)
        bits = network.code_length
        self.label_classifier = nn.Linear(bits, train.labels.shape[1])
        self.modality_classifier = dense(bits, max(bits // 2, 1), max(bits // 4, 1), 1)

    def loss(self, images: Tensor, texts: Tensor, batch: PairBatch) -> Tensor:
        """The objective of both modalities and both classifiers; see `TargetModule`."""
        options, labels = self.options, batch.labels.float()
        similarity = similarity_of(batch.labels, batch.labels)
        predicted = label_prediction(self.label_classifier(images), self.label_classifier(texts), labels)
        triplets = triplet_constraints(images, texts, similarity, options.negatives, options.margin)
        triplets = triplets + triplet_constraints(texts, images, similarity, options.negatives, options.margin)
        strength = options.adversarial * reversal_strength(self.current_epoch / self.schedule.epochs)
        image_logits, text_logits = (
            self.modality_classifier(reverse_gradient(half, strength)) for half in (images, texts)
        )
        return options.alpha * triplets + options.beta * predicted + told_apart(image_logits, text_logits)
