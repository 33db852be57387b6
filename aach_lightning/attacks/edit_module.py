"""EditModule: frozen source networks, texts changed word by word. Stands in for AttackModule where texts are edited."""

from typing import Self

import pytorch_lightning as pl
import torch
from torch import Tensor

from aach_lightning.attacks.items import AttackBatch, Bank, Items
from aach_lightning.attacks.objectives.objective import Objective
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.perturbations.edits import edit_texts


class EditModule(pl.LightningModule):
    """Edits each text, in `predict`, against a source whose weights never change.

    Args:
        source: Gives gradients and losses; frozen by this module.
        bank: The items that the attacker knows.
        objective: What is minimised.
        edits: Largest number of words to add or remove.
        candidates: How many words are tried at each step.
        removable: Whether words may be removed.
    """

    def __init__(
        self,
        source: HashingNetwork,
        bank: Bank,
        objective: Objective,
        edits: int,
        candidates: int,
        removable: bool,
    ) -> None:
        super().__init__()
        source.requires_grad_(False)
        source.eval()
        self.source = source
        self.bank, self.objective = bank, objective
        self.edits, self.candidates, self.removable = edits, candidates, removable

    def train(self, mode: bool = True) -> Self:
        """Set training mode of everything but the source."""
        super().train(mode)
        self.source.eval()
        return self

    def predict_step(self, batch: AttackBatch, batch_index: int) -> Tensor:
        """Edit a batch: float32, N x D, the differences, whole numbers."""
        texts = batch.pairs.texts
        with torch.no_grad():
            relaxed = self.source.hash_texts(texts)
            codes = binary_codes(relaxed) if batch.anchors is None else batch.anchors
            labels = batch.pairs.labels if self.objective.needs_labels else None
            items = Items(relaxed, codes, labels, batch.goals)
            loss = self.objective.bind(items, self.bank.to(texts.device))
        edited = edit_texts(self.source.hash_texts, loss, texts, self.edits, self.candidates, self.removable)
        return edited - texts
