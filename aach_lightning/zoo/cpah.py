"""CPAH (Xie et al., TIP 2020): only what features of both modalities have in common is hashed."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aach_lightning.config.method import CPAHConfig
from aach_lightning.data.pairs import PairBatch
from aach_lightning.errors import ConfigError
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.networks.likelihood import likelihood
from aach_lightning.networks.refined_linear import RefinedLinear
from aach_lightning.networks.sharing import Half
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.zoo.auxiliary import (
    SemanticModule,
    dense,
    gradient_penalty,
    label_prediction,
    reverse_gradient,
    similarity_of,
    told_apart,
)

_KINDS = 3  # private to images, common, private to texts


def consistency_classification(image_private: Tensor, common: Tensor, text_private: Tensor) -> Tensor:
    """Cross-entropy of a classifier that is to tell three kinds of features apart, sum over features, mean over pairs.

    0 is private to images, 1 common, 2 private to texts (eq. 7 of the paper, as a public port numbers it).

    Args:
        image_private: N x 3 logits.
        common: 2N x 3 logits, of both modalities.
        text_private: N x 3 logits.

    Returns:
        Scalar; 4 log 3 for a classifier that cannot tell them apart.
    """
    logits = torch.cat([image_private, common, text_private])
    counts = torch.tensor([len(image_private), len(common), len(text_private)], device=logits.device)
    kinds = torch.arange(_KINDS, device=logits.device).repeat_interleave(counts)
    return F.cross_entropy(logits, kinds, reduction="sum") / len(image_private)


def cpah_loss(
    images: Tensor, texts: Tensor, similarity: Tensor, codes: Tensor, classification: Tensor, alpha: float, beta: float
) -> Tensor:
    """The CPAH objective of a batch of b pairs, without the discriminator.

    [ sum_ij (log(1 + e^Theta) - S Theta) + alpha b C + beta (|B - H_I|^2 + |B - H_T|^2) ] / b^2, Theta = H_I H_T' / 2
    (eqs. 8 to 11 of the paper, as a public port numbers them; the division keeps the size of a step independent of b).

    Args:
        images: b x K, H_I, relaxed codes of images.
        texts: b x K, H_T, of texts.
        similarity: b x b in {0, 1}, S, whether two pairs share a label.
        codes: b x K in {-1, +1}, B.
        classification: Scalar, C, consistency and label classification, each a mean over pairs.
        alpha: Weight of classification.
        beta: Weight of quantisation.

    Returns:
        Scalar.
    """
    pairwise = likelihood(images @ texts.T / 2, similarity).mean()
    quantisation = (codes - images).square().sum() + (codes - texts).square().sum()
    loss: Tensor = pairwise + alpha * classification / len(images) + beta * quantisation / similarity.numel()
    return loss


class CPAHModule(SemanticModule):
    """Trains a HashingNetwork on labelled pairs by CPAH, all networks in each step.

    Features are divided by the hash layer of each half (`RefinedLinear`). A classifier tells private parts and common
    ones apart, others predict labels of common ones, and a discriminator tells common ones of images from those of
    texts, which mislead it. Ours: the gradients of the discriminator are reversed for texts, where a public port turns
    its labels; B = sign(H_I + H_T) is that of the current step; the layer norm of the hash heads stands for the batch
    normalisation of the paper's layers.

    Raises:
        ConfigError: If a hash layer does not divide features.
    """

    options: CPAHConfig

    def __init__(self, network: HashingNetwork, train: TrainPart, schedule: Schedule, options: CPAHConfig) -> None:
        super().__init__(network, train, schedule, options)
        width, classes = self.semantic_width, train.labels.shape[1]
        self._layers()  # complain before anything is trained
        self.kind_classifier = dense(width, max(width // 8, 1), _KINDS)
        self.label_classifiers = nn.ModuleList(nn.Linear(width, classes) for _ in range(2))
        self.discriminator = dense(width, max(width // 8, 1), 1)

    def _layers(self) -> tuple[RefinedLinear, RefinedLinear]:
        found = [[m for m in half.modules() if isinstance(m, RefinedLinear)] for half in self.network.children()]
        if [len(layers) for layers in found] != [1, 1]:
            raise ConfigError("CPAH hashes common features: set target.image_net.refined and target.text_net.refined")
        return found[0][0], found[1][0]

    def semantic_loss(self, image: Half, text: Half, batch: PairBatch) -> Tensor:
        """The objective of both modalities and all classifiers; see `SemanticModule`."""
        options, labels, count = self.options, batch.labels.float(), len(batch)
        commons = [layer.common(half.semantics) for layer, half in zip(self._layers(), (image, text), strict=True)]
        privates = [half.semantics - common for half, common in zip((image, text), commons, strict=True)]
        kinds = [self.kind_classifier(part) for part in (privates[0], torch.cat(commons), privates[1])]
        first, second = (classify(common) for classify, common in zip(self.label_classifiers, commons, strict=True))
        classification = consistency_classification(*kinds) + label_prediction(first, second, labels)
        codes = binary_codes((image.codes + text.codes).detach()).float()
        similarity = similarity_of(labels, labels)
        loss = cpah_loss(image.codes, text.codes, similarity, codes, classification, options.alpha, options.beta)
        ones, zeros = commons[0].detach(), reverse_gradient(commons[1], options.adversarial / count**2)
        told = told_apart(self.discriminator(ones), self.discriminator(zeros))
        shares = torch.rand_like(ones)
        penalty = gradient_penalty(self.discriminator, ones, commons[1].detach(), shares)
        return loss + told + options.penalty * penalty
