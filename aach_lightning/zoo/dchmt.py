"""DCHMT (Tu et al., ACM MM 2022): bits are selected, and Euclidean distances of selections follow labels."""

import torch
from torch import Tensor

from aach_lightning.config.method import DCHMTConfig
from aach_lightning.data.pairs import PairBatch
from aach_lightning.targets.method import TargetModule
from aach_lightning.zoo.auxiliary import similarity_of


def selection_distances(rows: Tensor, others: Tensor) -> Tensor:
    """Squared Euclidean distances of selections, |u - v|^2 = |h - g|^2 / 2.

    A bit is a choice between two: u holds (p, 1 - p) of each, p = softmax(a, b)_1. As softmax(a, b)_1 is
    (1 + tanh((a - b) / 2)) / 2, a relaxed code h = tanh(x) is such a choice, p = (1 + h) / 2, and no layer of 2 K
    outputs is needed.

    Args:
        rows: N x K in [-1, 1], h.
        others: M x K in [-1, 1], g.

    Returns:
        N x M in [0, 2 K]; twice the Hamming distance where both are binary.
    """
    squares = rows.square().sum(dim=1)[:, None] + others.square().sum(dim=1) - 2 * rows @ others.T
    return squares.clamp(min=0) / 2


def selection_loss(rows: Tensor, others: Tensor, similarity: Tensor, vartheta: float) -> Tensor:
    """Mean over i, j of S d^2 + (1 - S) max(0, sqrt(2 K vartheta) - d)^2, d = |u - v|.

    The authors' public code (`similarity_loss`, Euclidean, l2). Dissimilar items are left alone once vartheta of their
    bits differ.

    Args:
        rows: N x K, relaxed codes.
        others: M x K.
        similarity: N x M in {0, 1}, S.
        vartheta: Share of bits that shall differ, in (0, 1].

    Returns:
        Scalar.
    """
    squares = selection_distances(rows, others)
    distance = squares.clamp(min=1e-12).sqrt()  # the root has no derivative at 0
    missing = ((2 * rows.shape[1] * vartheta) ** 0.5 - distance).clamp(min=0)
    loss: Tensor = (similarity * squares + (1 - similarity) * missing.square()).mean()
    return loss


def dchmt_loss(images: Tensor, texts: Tensor, similarity: Tensor, vartheta: float) -> Tensor:
    """The DCHMT objective of a batch of m pairs: `selection_loss` between modalities and within each, summed.

    Args:
        images: m x K, relaxed codes of images.
        texts: m x K, of texts.
        similarity: m x m in {0, 1}.
        vartheta: As in `selection_loss`.

    Returns:
        Scalar.
    """
    sides = ((images, texts), (images, images), (texts, texts))
    return torch.stack([selection_loss(*side, similarity, vartheta) for side in sides]).sum()


class DCHMTModule(TargetModule):
    """Trains a HashingNetwork on labelled pairs by DCHMT.

    The paper fine-tunes both towers of CLIP under small hash layers (a hidden one of 128 units). Here the image tower
    is a backbone (`image_net=clip`), fine-tuned or frozen; the text tower is frozen, as texts are vectors
    (`data.encoder`). Ours, too: Adam with a cosine schedule for the paper's BertAdam with a warm-up, and the layer norm
    of the hash heads.
    """

    options: DCHMTConfig

    def loss(self, images: Tensor, texts: Tensor, batch: PairBatch) -> Tensor:
        """The objective of both modalities; see `TargetModule`."""
        return dchmt_loss(images, texts, similarity_of(batch.labels, batch.labels), self.options.vartheta)
