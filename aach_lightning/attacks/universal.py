"""UniversalModule: one delta for all inputs, learned on the queried pairs."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aach_lightning.attacks.items import ItemCodes
from aach_lightning.attacks.source import Task
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import PairBatch
from aach_lightning.networks.placement import resize_and_pad
from aach_lightning.perturbations.diversity import InputDiversity
from aach_lightning.perturbations.space import Space
from aach_lightning.runtime import ranks


class KnownItems(NamedTuple):
    """Rows of the data set that are learned on, int64, M; and the source's relaxed codes of them, float, M x K."""

    rows: NDArray[np.int64]
    relaxed: Tensor


@dataclass(frozen=True)
class UniversalLearner:
    """How one delta is learned: by Adam, with the way back into the ball after each step.

    Attributes:
        space: Bounds of delta.
        lr: Adam's learning rate, in units of the input.
        epochs: Passes over the items.
        diversity: Random resize and pad of images; None for texts or to leave it out.
    """

    space: Space
    lr: float
    epochs: int
    diversity: InputDiversity | None


class UniversalModule(pl.LightningModule):
    """Learns one delta that is added to every input, on mini-batches of items that the attacker has queried.

    The source is no submodule: its weights never change, and belong in no checkpoint.

    Args:
        task: What is minimised, on average over the items.
        learner: How.
        known: What is learned on.
        start: 1 x the shape of an input, the first delta.
        goal: int8 in {-1, +1}, K, the code that a targeted attack wants every input to have; else None.
        name: Under which the loss is logged.
    """

    def __init__(
        self, task: Task, learner: UniversalLearner, known: KnownItems, start: Tensor, goal: Tensor | None, name: str
    ) -> None:
        super().__init__()
        self.task, self.learner, self.goal, self.name = task, learner, goal, name
        self._places = {row: place for place, row in enumerate(known.rows.tolist())}
        self.relaxed = known.relaxed
        self.delta = nn.Parameter(start)

    def on_fit_start(self) -> None:
        """Take what is no submodule to this process's device."""
        self.task.network.to(self.device)
        self.task.bank, self.relaxed = self.task.bank.to(self.device), self.relaxed.to(self.device)

    def training_step(self, batch: PairBatch, batch_index: int) -> Tensor:
        """Mean objective of a batch that all processes have; each hashes its share of the images."""
        relaxed = self.relaxed[[self._places[row] for row in batch.ids.tolist()]]
        goals = None if self.goal is None else self.goal.to(self.device).expand(len(batch), -1)
        loss = self.task.loss(relaxed, batch.labels, ItemCodes(goals=goals))
        space = self.learner.space
        seen = (self.task.modality.of(batch) + self.delta).clamp(space.low, space.high)
        if self.task.modality is Modality.image:
            hashed = ranks.gather_shares(self.task.hash(self._diverse(seen, batch.ids)), len(batch))
        else:
            hashed = self.task.hash(seen)
        mean = loss(hashed, self.delta.expand(len(batch), *self.delta.shape[1:])).mean()
        self.log(f"{self.name}/loss", mean, prog_bar=True, batch_size=len(batch))
        return mean

    def _diverse(self, seen: Tensor, ids: Tensor) -> Tensor:
        """This process's images, at another size and place in each epoch where that is wanted."""
        if self.learner.diversity is None:
            return seen
        own = ids[ranks.own_share(len(ids))]
        placements = self.learner.diversity.draw(own, self.learner.epochs)[self.current_epoch]
        return resize_and_pad(seen, placements.to(seen.device))

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """A step, then back into the ball: a checkpoint never holds a larger delta."""
        super().optimizer_step(*args, **kwargs)
        with torch.no_grad():
            self.delta.copy_(self.learner.space.into_ball(self.delta))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam on delta alone."""
        return torch.optim.Adam([self.delta], lr=self.learner.lr)
