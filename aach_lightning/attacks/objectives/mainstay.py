"""SAAT's objective (Wang et al., IEEE TIFS 2023): away from the mainstay code, which stands for all relevant ones."""

import torch
from torch import Tensor

from aach_lightning.attacks.items import Bank, Items
from aach_lightning.attacks.objectives.objective import Loss
from aach_lightning.attacks.objectives.relevance import shared_labels
from aach_lightning.networks.hashing import binary_codes


class MainstayCode:
    """Lowers h^.b / K, where b is the mainstay code of the item among the bank's codes of the other modality."""

    needs_labels = True
    needs_own = False

    def bind(self, items: Items, bank: Bank) -> Loss:
        """Find the mainstay codes; see `Objective`."""
        mainstay = mainstay_codes(shared_labels(items, bank), binary_codes(bank.other).float())

        def loss(hashed: Tensor, delta: Tensor) -> Tensor:
            return (hashed * mainstay).mean(dim=1)

        return loss


def mainstay_codes(shared: Tensor, codes: Tensor) -> Tensor:
    """sign(weighted mean of the relevant codes - mean of the irrelevant codes); 0 counts as +1.

    Args:
        shared: N x M, number of labels that an item shares with each of the bank: the weights, relevant where above 0.
        codes: M x K in {-1, +1}.

    Returns:
        N x K in {-1, +1}.
    """
    relevant = shared @ codes / shared.sum(dim=1, keepdim=True).clamp_min(1)
    irrelevant = (shared == 0).to(codes.dtype)
    others = irrelevant @ codes / irrelevant.sum(dim=1, keepdim=True).clamp_min(1)
    return torch.where(relevant - others >= 0, 1.0, -1.0)
