"""AttackModule: frozen source networks, learned deltas. LightningModule 2."""

from typing import Self

import pytorch_lightning as pl
import torch
from torch import Tensor

from aach_lightning.attacks.items import AttackBatch
from aach_lightning.attacks.source import Task
from aach_lightning.perturbations.descent import Learner


class AttackModule(pl.LightningModule):
    """Learns one delta for each item, in `predict`, against a source whose weights never change.

    It cannot know whether the source is a surrogate (black box) or the target's own network (white box).

    Args:
        task: What is minimised.
        learner: How: by projected steps, or by edits of words.

    Attributes:
        recorded: float64, steps, the objective summed over the items of the last batch before each step; None where a
            learner takes no steps.
    """

    def __init__(self, task: Task, learner: Learner) -> None:
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True  # more processes than batches
        self.task, self.learner = task, learner
        self.source = task.network
        self.recorded: Tensor | None = None

    def train(self, mode: bool = True) -> Self:
        """Set training mode of everything but the source: its batch-norm statistics must not drift."""
        super().train(mode)
        self.source.eval()
        return self

    def predict_step(self, batch: AttackBatch, batch_index: int) -> Tensor:
        """Learn the deltas of a batch: float32, the shape of the attacked inputs, within the bounds."""
        clean = self.task.modality.of(batch.pairs)
        with torch.no_grad():
            loss = self.task.loss(self.task.hash(clean), batch.pairs.labels, batch.codes)
        delta, self.recorded = self.learner(self.task.hash, loss, clean, batch.pairs.ids)
        return delta
