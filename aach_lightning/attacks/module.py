"""AttackModule: frozen source networks, a learned delta. LightningModule 2."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

import pytorch_lightning as pl
import torch
from torch import Tensor

from aach_lightning.attacks.diversity import InputDiversity, resize_and_pad
from aach_lightning.attacks.objectives import exchanged_triplet, nearest_and_farthest
from aach_lightning.attacks.space import Space
from aach_lightning.attacks.steps import Step
from aach_lightning.data.pairs import PairBatch
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.runtime.seeding import torch_generator

Modality = Literal["image", "text"]


@dataclass(frozen=True)
class Bank:
    """The M queried items of the modality that is not attacked, from which positives and negatives come.

    Attributes:
        relaxed: M x K float, the source's relaxed codes; the objective measures distances to these.
        ranking: M x K in {-1, +1}, the codes by which items are ranked: of the source, or as the target answered.
    """

    relaxed: Tensor
    ranking: Tensor


@dataclass(frozen=True)
class AttackBatch:
    """Items under attack.

    Attributes:
        pairs: N pairs; only the attacked modality is read.
        anchors: int8 in {-1, +1}, N x K, the target's codes of the clean items where they were queried; else None, and
            the source's own codes are used.
    """

    pairs: PairBatch
    anchors: Tensor | None

    def __len__(self) -> int:
        return len(self.pairs)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "AttackBatch":
        """Copy to `device`."""
        return AttackBatch(self.pairs.to(device), None if self.anchors is None else self.anchors.to(device))


class AttackModule(pl.LightningModule):
    """Learns one delta for each item, in `predict`, against a source whose weights never change.

    It cannot know whether the source is a surrogate (black box) or the target's own network (white box).

    Args:
        source: Gives the gradients; frozen by this module.
        bank: The queried items of the other modality.
        modality: Which half of a pair is attacked.
        space: Bounds of delta.
        step: Makes a fresh step rule for a batch.
        steps: Number of steps.
        positives: Number of positives of an item.
        negatives: Number of negatives of an item.
        margin: beta of the objective, in bits.
        quantisation_weight: lambda of the objective.
        random_start: Start inside the epsilon ball instead of at 0.
        diversity: Random resize and pad of images; None for texts or to leave it out.
        seed: Base seed of the random start.
        record: Keep the objective of each step of the last batch in `recorded`.

    Attributes:
        recorded: float64, steps, the objective summed over the items of the last batch; None without `record`.
    """

    def __init__(
        self,
        source: HashingNetwork,
        bank: Bank,
        modality: Modality,
        space: Space,
        step: Callable[[], Step],
        steps: int,
        positives: int,
        negatives: int,
        margin: float,
        quantisation_weight: float,
        random_start: bool,
        diversity: InputDiversity | None,
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
        self.modality = modality
        self.space = space
        self.new_step = step
        self.steps = steps
        self.positives, self.negatives = positives, negatives
        self.margin, self.quantisation_weight = margin, quantisation_weight
        self.random_start, self.diversity, self.seed = random_start, diversity, seed
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
            anchors = binary_codes(self.hash(clean)) if batch.anchors is None else batch.anchors
            relaxed, ranking = self.bank.relaxed.to(clean.device), self.bank.ranking.to(clean.device)
            near, far = nearest_and_farthest(anchors, ranking, self.positives, self.negatives)
            positives, negatives = relaxed[near], relaxed[far]
        placements = None if self.diversity is None else self.diversity.draw(ids, self.steps).to(clean.device)
        delta = self._start(clean, ids)
        step = self.new_step()
        objective = []
        with torch.enable_grad():
            for number in range(self.steps):
                delta.requires_grad_()
                seen = clean + delta
                if placements is not None:
                    seen = resize_and_pad(seen, placements[number])
                hashed = self.hash(seen)
                loss = exchanged_triplet(hashed, positives, negatives, self.margin, self.quantisation_weight)
                (gradient,) = torch.autograd.grad(loss.sum(), delta)
                if self.record:
                    objective.append(loss.detach().sum(dtype=torch.float64))
                with torch.no_grad():
                    # The steps below read many tensors at once, which is slow where their orders differ.
                    delta = self.space.project(clean, step(delta.detach(), gradient.contiguous()))
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
