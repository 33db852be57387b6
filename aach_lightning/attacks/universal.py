"""UniversalModule: one delta for all inputs, learned on the queried pairs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from aach_lightning.attacks.items import Bank, Items
from aach_lightning.attacks.objectives.objective import Objective
from aach_lightning.data.dataset import EpochShuffle, PairDataset, pair_loader
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import PairBatch, Pairs
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.networks.placement import resize_and_pad
from aach_lightning.perturbations.diversity import InputDiversity
from aach_lightning.perturbations.space import Space
from aach_lightning.runtime import ranks


class UniversalModule(pl.LightningModule):
    """Learns one delta that is added to every input, by Adam on mini-batches of items that the attacker has queried.

    The source is no submodule: its weights never change, and belong in no checkpoint.

    Args:
        source: Gives the gradients; frozen by this module.
        bank: The items that the attacker knows.
        rows: int64, M, the rows of the data set that are learned on.
        relaxed: M x K float, the source's relaxed codes of their clean inputs.
        goal: int8 in {-1, +1}, K, the code that a targeted attack wants every input to have; else None.
        objective: What is minimised, on average over the items.
        modality: Which half of a pair is attacked.
        space: Bounds of delta.
        shape: Of an input of this modality.
        lr: Adam's learning rate, in units of the input.
        epochs: Passes over the items.
        diversity: Random resize and pad of images; None for texts or to leave it out.
        name: Under which the loss is logged.
    """

    def __init__(
        self,
        source: HashingNetwork,
        bank: Bank,
        rows: NDArray[np.int64],
        relaxed: Tensor,
        goal: Tensor | None,
        objective: Objective,
        modality: Modality,
        space: Space,
        shape: Sequence[int],
        lr: float,
        epochs: int,
        diversity: InputDiversity | None,
        name: str,
    ) -> None:
        super().__init__()
        source.requires_grad_(False)
        source.eval()
        source.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._source = (source,)
        self.bank, self.relaxed, self.goal, self.objective = bank, relaxed, goal, objective
        self._places = {row: place for place, row in enumerate(rows.tolist())}
        self.modality, self.space = modality, space
        self.lr, self.epochs, self.diversity, self.name = lr, epochs, diversity, name
        self.delta = nn.Parameter(torch.zeros(1, *shape))

    def on_fit_start(self) -> None:
        """Take what is no submodule to this process's device."""
        self._source[0].to(self.device)
        self.bank, self.relaxed = self.bank.to(self.device), self.relaxed.to(self.device)

    def hash(self, inputs: Tensor) -> Tensor:
        """Relaxed codes of the attacked modality."""
        (source,) = self._source
        return source.hash_images(inputs) if self.modality == "image" else source.hash_texts(inputs)

    def training_step(self, batch: PairBatch, batch_index: int) -> Tensor:
        """Mean objective of a batch that all processes have; each hashes its share of the images."""
        relaxed = self.relaxed[[self._places[row] for row in batch.ids.tolist()]]
        labels = batch.labels if self.objective.needs_labels else None
        goals = None if self.goal is None else self.goal.to(self.device).expand(len(batch), -1)
        loss = self.objective.bind(Items(relaxed, binary_codes(relaxed), labels, goals), self.bank)
        if self.modality == "image":
            hashed = ranks.gather_shares(self.hash(self._seen(batch)), len(batch))
        else:
            hashed = self.hash((batch.texts + self.delta).clamp(self.space.low, self.space.high))
        mean = loss(hashed, self.delta.expand(len(batch), *self.delta.shape[1:])).mean()
        self.log(f"{self.name}/loss", mean, prog_bar=True, batch_size=len(batch))
        return mean

    def _seen(self, batch: PairBatch) -> Tensor:
        """This process's images with delta, as the source is shown them."""
        seen = (batch.images + self.delta).clamp(self.space.low, self.space.high)
        if self.diversity is None:
            return seen
        own = batch.ids[ranks.own_share(len(batch))]
        placements = self.diversity.draw(own, self.epochs)[self.current_epoch]
        return resize_and_pad(seen, placements.to(seen.device))

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """A step, then back into the ball: a checkpoint never holds a larger delta."""
        super().optimizer_step(*args, **kwargs)
        with torch.no_grad():
            self.delta.copy_(self.space.into_ball(self.delta))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam on delta alone."""
        return torch.optim.Adam([self.delta], lr=self.lr)


class UniversalDataModule(pl.LightningDataModule):
    """The queried pairs in shuffled mini-batches.

    Args:
        pairs: The data set.
        rows: int64, M queried rows.
        batch_size: Pairs in a batch.
        seed: Base seed of the order.
    """

    def __init__(self, pairs: Pairs, rows: NDArray[np.int64], batch_size: int, seed: int) -> None:
        super().__init__()
        self.dataset = PairDataset(pairs, rows, shared=True)
        self.batch_size, self.seed = batch_size, seed

    def train_dataloader(self) -> DataLoader[PairBatch]:
        """The batches of the trainer's current epoch."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        return pair_loader(self.dataset, self.batch_size, EpochShuffle(len(self.dataset), self.seed, epoch))
