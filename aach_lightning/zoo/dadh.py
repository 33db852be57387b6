"""DADH (Bai et al., ICMR 2020): weighted cosine triplets, discrete codes from labels, two discriminators."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aach_lightning.config.method import DADHConfig
from aach_lightning.data.pairs import PairBatch
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.networks.sharing import Half
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.zoo.auxiliary import (
    SemanticModule,
    dense,
    gradient_penalty,
    reverse_gradient,
    told_apart,
)


def graded_relevance(labels: Tensor) -> Tensor:
    """How much of an ideal ranking's gain each item of a batch brings: r_ij = (2^s_ij - 1) / Z_i.

    Args:
        labels: b x C float in {0, 1}.

    Returns:
        b x b in [0, 1]; s_ij is the number of shared labels, Z_i the discounted gain of the batch in the best order,
        sum over ranks p = 1.. of (2^s - 1) / log2(p + 1); 0 where there is nothing to gain.
    """
    shared = labels @ labels.T
    gain = shared.exp2() - 1
    ranks = torch.arange(2, len(labels) + 2, device=labels.device, dtype=labels.dtype)
    ideal = (gain.sort(dim=1, descending=True).values / ranks.log2()).sum(dim=1, keepdim=True)
    return gain / ideal.clamp(min=1e-12)


def weighted_triplets(anchors: Tensor, others: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Sum over triplets of w max(0, c(a, p) - c(a, n) + margin), c = 1 - cos, w = r_ap - r_an, divided by b.

    Positives share a label with their anchor, negatives do not (the weighted cosine triplet loss, as in the authors'
    public code; the division by the number of anchors keeps a step independent of b).

    Args:
        anchors: b x K, relaxed codes of one modality.
        others: b x K, of the other one; row i is the same pair as row i of anchors.
        labels: b x C float in {0, 1}.
        margin: Of cosine distances, in [0, 2].

    Returns:
        Scalar.
    """
    distance = 1 - F.normalize(anchors, dim=1) @ F.normalize(others, dim=1).T
    relevance = graded_relevance(labels)  # 0 for negatives, so that w is that of the positive
    excess = (distance[:, :, None] - distance[:, None, :] + margin).clamp(min=0)
    weight = relevance[:, :, None] * (relevance == 0)[:, None, :]
    return (weight * excess).sum() / len(anchors)


def discrete_codes(codes: Tensor, relaxed: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Codes of all train items that labels predict linearly: B = sign(L P + gamma H), P = (L'L + I)^-1 L' B.

    As in the authors' public code.

    Args:
        codes: n x K in {-1, +1}, B of the epoch before.
        relaxed: n x K, H, what the network made of them in this epoch.
        labels: n x C float in {0, 1}, L.
        gamma: Weight of H.

    Returns:
        n x K float in {-1, +1}.
    """
    gram = labels.T @ labels + torch.eye(labels.shape[1], device=labels.device, dtype=labels.dtype)
    projection = torch.linalg.solve(gram, labels.T @ codes)
    return binary_codes(labels @ projection + gamma * relaxed).to(codes.dtype)


class DADHModule(SemanticModule):
    """Trains a HashingNetwork on labelled pairs by DADH, both modalities and both discriminators in each step.

    Terms and weights are those of an earlier state of the authors' public code, divided by the size of a batch: its
    later one leaves out the distance within a pair, and lets texts alone mislead the discriminators. They tell images
    from texts, one by the features that are hashed, one by the codes, each with a gradient penalty. Ours: their
    gradients are reversed for the halves, where that code turns their labels, and both are trained by the Adam of all.
    Discrete codes change once an epoch.
    """

    options: DADHConfig
    labels: Tensor
    relaxed: Tensor
    codes: Tensor

    def __init__(self, network: HashingNetwork, train: TrainPart, schedule: Schedule, options: DADHConfig) -> None:
        super().__init__(network, train, schedule, options)
        count, bits, width = len(train.rows), network.code_length, self.semantic_width
        self.register_buffer("labels", train.labels[self.order].float())
        self.register_buffer("relaxed", torch.zeros(2, count, bits))  # images, texts
        self.register_buffer("codes", binary_codes(torch.randn(count, bits)).float().repeat(2, 1, 1))
        self.discriminators = nn.ModuleList([dense(width, max(width // 2, 1), 1), dense(bits, bits, 1)])

    def remember(self, ids: Tensor, images: Tensor, texts: Tensor) -> None:
        """Keep relaxed codes of train items, N x K, for the discrete codes of the next epoch."""
        positions = self.positions(ids)
        self.relaxed[0, positions], self.relaxed[1, positions] = images, texts

    def semantic_loss(self, image: Half, text: Half, batch: PairBatch) -> Tensor:
        """The objective of both modalities and both discriminators; see `SemanticModule`."""
        options, labels, count = self.options, batch.labels.float(), len(batch)
        triplets = weighted_triplets(image.codes, text.codes, labels, options.margin)
        triplets = triplets + weighted_triplets(text.codes, image.codes, labels, options.margin)
        relaxed = torch.stack([image.codes, text.codes])
        quantisation = (relaxed - self.codes[:, self.positions(batch.ids)]).square().sum() / count
        within = (1 - F.cosine_similarity(image.codes, text.codes)).square().mean()
        total = options.alpha * triplets + options.eta * quantisation + options.theta * within
        sides = ((image.semantics, text.semantics), (image.codes, text.codes))
        for discriminator, (ones, zeros) in zip(self.discriminators, sides, strict=True):
            # what the halves gain is a mean over items; the rest is a sum over them, divided by their number
            told = told_apart(*(discriminator(reverse_gradient(side, options.mu / count)) for side in (ones, zeros)))
            penalty = gradient_penalty(discriminator, ones.detach(), zeros.detach(), torch.rand_like(ones))
            total = total + told + options.penalty * penalty
        return total

    def on_train_epoch_end(self) -> None:
        """New discrete codes."""
        for side, relaxed in enumerate(self.relaxed):
            self.codes[side] = discrete_codes(self.codes[side], relaxed, self.labels, self.options.gamma)
