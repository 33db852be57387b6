"""HAG's objective (Yang et al., IEEE Trans. Cybernetics 2018): away from the item's own code, bit by bit."""

import torch
from torch import Tensor

from aach_lightning.attacks.items import Bank, Items
from aach_lightning.attacks.objectives.objective import Loss


class UndecidedBits:
    """Pushes every bit away from the clean code until it is decided; no other item matters.

    Args:
        threshold: A bit counts as undecided while |h^ - h| is below it, in (0, 2]; the paper has 1.5.
    """

    needs_labels = False
    needs_own = False

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def bind(self, items: Items, bank: Bank) -> Loss:
        """Remember the clean codes; see `Objective`."""
        codes = items.codes.float()

        def loss(hashed: Tensor, delta: Tensor) -> Tensor:
            return undecided_bits(hashed, codes, self.threshold)

        return loss


def undecided_bits(hashed: Tensor, codes: Tensor, threshold: float) -> Tensor:
    """(mean over undecided bits of h^ h, plus 1)^2; 0 where all bits are decided.

    Args:
        hashed: N x K, h^, relaxed codes of the changed items.
        codes: N x K in {-1, +1}, h, codes of the clean items.
        threshold: A bit is undecided while |h^ - h| is below it.

    Returns:
        N values.
    """
    undecided = ((hashed.detach() - codes).abs() < threshold).to(hashed.dtype)
    count = undecided.sum(dim=1)
    mean = (undecided * hashed * codes).sum(dim=1) / count.clamp_min(1)
    return torch.where(count > 0, (mean + 1).square(), torch.zeros_like(mean))
