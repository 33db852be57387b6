"""The contract of an objective."""

from typing import Protocol

from aach_lightning.attacks.items import Bank, Items
from aach_lightning.perturbations.descent import Loss

__all__ = ["Loss", "Objective"]


class Objective(Protocol):
    """Chooses for a batch of items what their codes shall leave and approach.

    Attributes:
        needs_labels: Whether labels of the items and of the bank are read.
        needs_own: Whether the bank's codes of the attacked modality are read.
    """

    needs_labels: bool
    needs_own: bool

    def bind(self, items: Items, bank: Bank) -> Loss:
        """The loss of these items, to be minimised."""
        ...
