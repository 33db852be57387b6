"""SDHA's objective (Lu et al., ICMR 2021): away from relevant codes, through a smoothed Hamming distance."""

import torch
from torch import Tensor

from aach_lightning.attacks.items import Bank, Items
from aach_lightning.attacks.objectives.objective import Loss
from aach_lightning.attacks.objectives.relevance import relevance
from aach_lightning.networks.hashing import binary_codes, relaxed_distance


class SmoothedDistance:
    """Raises the distances to all relevant items of the other modality, those of the nearest most.

    The public description leaves the smoothing open; here a bit's distance is sigmoid(-sigma h^ r).

    Args:
        sigma: Steepness of the smoothing; the paper has 5.
        distortion_weight: Weight of the mean squared change of an entry.
    """

    needs_labels = True
    needs_own = False

    def __init__(self, sigma: float, distortion_weight: float) -> None:
        self.sigma, self.distortion_weight = sigma, distortion_weight

    def bind(self, items: Items, bank: Bank) -> Loss:
        """Weigh the relevant items; see `Objective`."""
        relevant, codes = relevance(items, bank), binary_codes(bank.other).float()
        weights = relevant / relaxed_distance(items.codes.float(), codes).clamp_min(1).sqrt()
        weights = weights / relevant.sum(dim=1, keepdim=True).clamp_min(1)

        def loss(hashed: Tensor, delta: Tensor) -> Tensor:
            distortion = delta.square().flatten(1).mean(dim=1)
            return self.distortion_weight * distortion - smoothed_distances(hashed, codes, weights, self.sigma)

        return loss


def smoothed_distances(hashed: Tensor, codes: Tensor, weights: Tensor, sigma: float) -> Tensor:
    """Weighted sum over items r of sum over bits of sigmoid(-sigma h^ r).

    Args:
        hashed: N x K, h^.
        codes: M x K in {-1, +1}, r.
        weights: N x M.
        sigma: Steepness.

    Returns:
        N values.
    """
    # sigmoid(-s h r) takes two values a bit, one for each sign of r: no N x M x K table is needed
    plus, minus = torch.sigmoid(-sigma * hashed), torch.sigmoid(sigma * hashed)
    share_plus, share_minus = weights @ (codes > 0).float(), weights @ (codes < 0).float()
    return (share_plus * plus + share_minus * minus).sum(dim=1)
