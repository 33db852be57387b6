"""The contract of an objective."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from aach_lightning.attacks.items import Bank, Items

Loss = Callable[[Tensor, Tensor], Tensor]
"""Relaxed codes of the changed items, N x K, and the change, N x ..., to N values, each of its own item alone."""


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
