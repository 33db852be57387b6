"""What unsupervised methods share: similarities of the inputs in the place of labels, and codes that get sharper."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.config.method import MethodConfig
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.targets.method import Schedule, TargetModule, TrainPart

_LARGEST = 1 - 1e-6  # beyond it atanh in float32 is infinite; the gradient of the tanh is 0 there anyway


def sharpened(relaxed: Tensor, alpha: float) -> Tensor:
    """tanh(alpha x) of relaxed codes tanh(x): closer to binary for alpha > 1, with the same signs.

    Training can thus sharpen codes while the network stays a plain tanh.

    Args:
        relaxed: N x K in [-1, 1].
        alpha: At least 1.

    Returns:
        N x K in (-1, 1).

    Example:
        >>> sharpened(torch.tensor([0.5, -0.5]), 2.0)
        tensor([ 0.8000, -0.8000])
    """
    return torch.tanh(alpha * torch.atanh(relaxed.clamp(-_LARGEST, _LARGEST)))


def cosines(rows: Tensor, others: Tensor) -> Tensor:
    """Cosine of each row, N x K, with each of others, M x K: N x M in [-1, 1]; 0 for a row of zeros."""
    return F.normalize(rows) @ F.normalize(others).T


def reconstruction(rows: Tensor, others: Tensor, similarity: Tensor) -> Tensor:
    """Mean over i, j of (cos(a_i, b_j) - S_ij)^2.

    Args:
        rows: N x K, a.
        others: M x K, b.
        similarity: N x M, S.

    Returns:
        Scalar.
    """
    return F.mse_loss(cosines(rows, others), similarity)


class UnsupervisedModule(TargetModule):
    """Trains a HashingNetwork on pairs without labels; a method adds its loss. Arguments as of `TargetModule`.

    Similarities are those of bags of words and of what the image backbone gives before it has learned anything. Both
    are kept outside checkpoints, as they follow from the data.

    Raises:
        ValueError: If there are no features of images.
    """

    supervised = False
    needs_features = True
    features: Tensor
    texts: Tensor

    def __init__(self, network: HashingNetwork, train: TrainPart, schedule: Schedule, options: MethodConfig) -> None:
        super().__init__(network, train, schedule, options)
        if train.features.shape[1] == 0:
            raise ValueError(f"{type(self).__name__} compares images by features, got none: n x 0")
        self.register_buffer("features", F.normalize(train.features[self.order].float()), persistent=False)
        self.register_buffer("texts", F.normalize(train.texts[self.order].float()), persistent=False)
        self._one_sided = [bool((part >= 0).all()) for part in (train.features, train.texts)]

    def similarities(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Similarities of images and of texts of train items, each b x b in [-1, 1].

        Cosines c of entries that are all at least 0 (after a ReLU, words) use half of that range: they become 2 c - 1.
        """
        found = []
        for part, one_sided in zip((self.features, self.texts), self._one_sided, strict=True):
            cosine = part[positions] @ part[positions].T
            found.append(2 * cosine - 1 if one_sided else cosine)
        return found[0], found[1]

    @property
    def sharpness(self) -> float:
        """The alpha of tanh(alpha x) in DJSRH and in what came from it: the root of the number of the epoch, from 1."""
        return math.sqrt(self.current_epoch + 1)
