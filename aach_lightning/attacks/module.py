"""AttackModule: frozen source networks, a learned delta. LightningModule 2."""

from collections.abc import Callable
from functools import partial
from typing import Self

import pytorch_lightning as pl
import torch
from torch import Tensor

from aach_lightning.attacks.items import AttackBatch, Bank, Items
from aach_lightning.attacks.objectives.objective import Objective
from aach_lightning.data.modality import Modality
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.perturbations.descent import descend
from aach_lightning.perturbations.gradient import GradientRule
from aach_lightning.perturbations.space import Space
from aach_lightning.perturbations.step import Step
from aach_lightning.runtime.seeding import torch_generator


class AttackModule(pl.LightningModule):
    """Learns one delta for each item, in `predict`, against a source whose weights never change.

    It cannot know whether the source is a surrogate (black box) or the target's own network (white box).

    Args:
        source: Gives the gradients; frozen by this module.
        bank: The items that the attacker knows.
        objective: What is minimised.
        modality: Which half of a pair is attacked.
        space: Bounds of delta.
        step: Makes a fresh step rule for a batch.
        gradients: How gradients are taken.
        steps: Number of steps.
        random_start: Start inside the epsilon ball instead of at 0.
        seed: Base seed of the random start.
        record: Keep the objective of each step of the last batch in `recorded`.

    Attributes:
        recorded: float64, steps, the objective summed over the items of the last batch; None without `record`.
    """

    def __init__(
        self,
        source: HashingNetwork,
        bank: Bank,
        objective: Objective,
        modality: Modality,
        space: Space,
        step: Callable[[], Step],
        gradients: GradientRule,
        steps: int,
        random_start: bool,
        seed: int,
        record: bool = False,
    ) -> None:
        super().__init__()
        source.requires_grad_(False)
        source.eval()
        # Convolutions follow the order of their weights: with channels last their gradients need no reordering.
        source.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.source = source
        self.bank = bank
        self.objective = objective
        self.modality = modality
        self.space = space
        self.new_step = step
        self.gradients = gradients
        self.steps = steps
        self.random_start, self.seed = random_start, seed
        self.record = record
        self.recorded: Tensor | None = None

    def train(self, mode: bool = True) -> Self:
        """Set training mode of everything but the source: its batch-norm statistics must not drift."""
        super().train(mode)
        self.source.eval()
        return self

    def hash(self, inputs: Tensor) -> Tensor:
        """Relaxed codes of the attacked modality."""
        return self.source.hash_images(inputs) if self.modality == "image" else self.source.hash_texts(inputs)

    def predict_step(self, batch: AttackBatch, batch_index: int) -> Tensor:
        """Learn the deltas of a batch: float32, the shape of the attacked inputs, within the space."""
        clean = batch.pairs.images if self.modality == "image" else batch.pairs.texts
        ids = batch.pairs.ids
        with torch.no_grad():
            relaxed = self.hash(clean)
            codes = binary_codes(relaxed) if batch.anchors is None else batch.anchors
            labels = batch.pairs.labels if self.objective.needs_labels else None
            loss = self.objective.bind(Items(relaxed, codes, labels, batch.goals), self.bank.to(clean.device))
        gradients = self.gradients.start(ids, self.steps, clean)
        objective: list[Tensor] = []

        def gradient(number: int, point: Tensor) -> Tensor:
            found, values = gradients(number, point, lambda seen, change: loss(self.hash(seen), change))
            if self.record:
                objective.append(values.sum(dtype=torch.float64))
            return found

        project = partial(self.space.project, clean)
        delta = descend(self._start(clean, ids), gradient, self.new_step(), project, self.steps)
        self.recorded = torch.stack(objective) if self.record else None
        return delta

    def _start(self, clean: Tensor, ids: Tensor) -> Tensor:
        if not self.random_start:
            return torch.zeros_like(clean)
        draws = [
            torch.rand(clean.shape[1:], generator=torch_generator(self.seed, "start", item)) for item in ids.tolist()
        ]
        uniform = 2 * torch.stack(draws).to(clean) - 1
        return self.space.project(clean, self.space.epsilon * uniform)
