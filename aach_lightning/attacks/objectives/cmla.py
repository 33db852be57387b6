"""CMLA's objective (Li et al., NeurIPS 2019): the likelihood of the similarities, inverted across modalities."""

from torch import Tensor

from aach_lightning.attacks.items import Bank, Items
from aach_lightning.attacks.objectives.objective import Loss
from aach_lightning.attacks.objectives.relevance import relevance
from aach_lightning.networks.likelihood import inverted_likelihood, likelihood


class InvertedLikelihood:
    """Similarities to the other modality become unlikely, those within the modality stay likely.

    Args:
        intra_weight: Weight of the part within the modality; 0 makes the cross-modal attack stronger.
        distortion_weight: Weight of the mean absolute change of an entry.
    """

    needs_labels = True

    def __init__(self, intra_weight: float, distortion_weight: float) -> None:
        self.intra_weight, self.distortion_weight = intra_weight, distortion_weight
        self.needs_own = intra_weight > 0

    def bind(self, items: Items, bank: Bank) -> Loss:
        """Read the similarities; see `Objective`."""
        similar = relevance(items, bank)

        def loss(hashed: Tensor, delta: Tensor) -> Tensor:
            total = inverted_likelihood(hashed @ bank.other.T / 2, similar)
            if self.intra_weight and bank.own is not None:
                total = total + self.intra_weight * likelihood(hashed @ bank.own.T / 2, similar)
            return total + self.distortion_weight * delta.abs().flatten(1).mean(dim=1)

        return loss
