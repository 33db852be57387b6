"""How well a surrogate answers like the target on pairs that were never queried."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr
from torch import Tensor

from aach_lightning.networks.hashing import relaxed_distance


@dataclass(frozen=True)
class BitMatching:
    """A symmetry of the Hamming cube: which target bit each surrogate bit stands for, and whether it is flipped.

    Distances do not change when bits change places or signs, so a surrogate trained on distances may end in any of
    these equivalent codes.

    Attributes:
        order: int64, K. Target bit of each surrogate bit.
        sign: int8 in {-1, +1}, K.
    """

    order: NDArray[np.int64]
    sign: NDArray[np.int8]

    def apply(self, codes: Tensor) -> Tensor:
        """Surrogate codes, N x K, as target codes."""
        matched = torch.empty_like(codes)
        matched[:, torch.from_numpy(self.order)] = codes * torch.from_numpy(self.sign).to(codes)
        return matched


def match_bits(surrogate: Tensor, target: Tensor) -> BitMatching:
    """Find the symmetry under which two sets of codes of the same items agree in most bits (Hungarian method).

    Args:
        surrogate: int8 in {-1, +1}, N x K.
        target: int8 in {-1, +1}, N x K.
    """
    agreement = (surrogate.double().T @ target.double()).numpy()
    rows, columns = linear_sum_assignment(np.abs(agreement), maximize=True)
    return BitMatching(columns.astype(np.int64), np.where(agreement[rows, columns] < 0, -1, 1).astype(np.int8))


def bit_agreement(surrogate: Tensor, target: Tensor, matching: BitMatching) -> float:
    """Share of equal bits after `matching`, in [0, 1]; 0.5 is what unrelated balanced codes reach."""
    return float((matching.apply(surrogate) == target).double().mean())


def distance_correlation(
    surrogate_images: Tensor, surrogate_texts: Tensor, target_images: Tensor, target_texts: Tensor
) -> float:
    """Spearman correlation between the image-text distances of the surrogate and those of the target, in [-1, 1].

    Args:
        surrogate_images: int8 in {-1, +1}, N x K.
        surrogate_texts: int8 in {-1, +1}, N x K.
        target_images: int8 in {-1, +1}, N x K.
        target_texts: int8 in {-1, +1}, N x K.

    Returns:
        0 where all distances of one of them are equal.
    """
    surrogate = relaxed_distance(surrogate_images.float(), surrogate_texts.float()).ravel().numpy()
    target = relaxed_distance(target_images.float(), target_texts.float()).ravel().numpy()
    if np.ptp(surrogate) == 0 or np.ptp(target) == 0:
        return 0.0
    return float(spearmanr(surrogate, target).statistic)
