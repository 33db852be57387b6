"""Which known items are relevant to an attacked one, for objectives that are told labels."""

import torch
from torch import Tensor

from aach_lightning.attacks.items import Bank, Items


def shared_labels(items: Items, bank: Bank) -> Tensor:
    """Number of labels that item and bank item share: float32, N x M.

    Raises:
        ValueError: If labels are missing.
    """
    if items.labels is None or bank.labels is None:
        raise ValueError("this objective needs labels of the attacked items and of the bank")
    return items.labels.float() @ bank.labels.float().T


def relevance(items: Items, bank: Bank) -> Tensor:
    """Whether item and bank item share a label: float32 in {0, 1}, N x M; raises as `shared_labels`."""
    return torch.clamp(shared_labels(items, bank), max=1)
