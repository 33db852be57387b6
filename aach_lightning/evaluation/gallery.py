"""A few attacked images with what the target finds for them before and after."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.evaluation.protocol import Searched, as_sent
from aach_lightning.evaluation.rows import DirectionOutcome
from aach_lightning.networks.hashing import relaxed_distance


@dataclass(frozen=True)
class Found:
    """One text that was retrieved.

    Attributes:
        text: As a person wrote it.
        relevant: Whether it shares a label with the query.
    """

    text: str
    relevant: bool


@dataclass(frozen=True)
class Exhibit:
    """One attacked image.

    Attributes:
        name: Identifier of the pair.
        clean: float32 in [0, 1], 3 x H x W.
        adversarial: float32 in [0, 1], 3 x H x W, as the target was shown it.
        before: The nearest texts of the clean image.
        after: The nearest texts of the adversarial image.
        moved: Hamming distance in bits between the two codes.
    """

    name: str
    clean: NDArray[np.float32]
    adversarial: NDArray[np.float32]
    before: tuple[Found, ...]
    after: tuple[Found, ...]
    moved: int

    def amplified_delta(self, epsilon: float) -> NDArray[np.float32]:
        """The perturbation in full contrast: -epsilon is 0, no change 0.5, +epsilon 1.

        Args:
            epsilon: Bound of a pixel's change in [0, 1].

        Returns:
            float32 in [0, 1], 3 x H x W.
        """
        amplified: NDArray[np.float32] = 0.5 + (self.adversarial - self.clean) / np.float32(2 * epsilon)
        return amplified.clip(0, 1)


def attack_gallery(experiment: Experiment, outcome: DirectionOutcome, delta: Tensor, top: int = 5) -> list[Exhibit]:
    """Show attacked images at evenly spaced ranks of how far their codes moved, from the least to the most.

    Args:
        experiment: Says how many, and which rows were attacked and searched.
        outcome: What was measured with them.
        delta: float, Q x 3 x H x W, of the attack.
        top: Number of texts that are shown for each.
    """
    pairs, rows, database = experiment.pairs, experiment.attacked, experiment.split.database
    clean, attacked = (outcome.measurements[query].codes for query in ("clean", "attack"))
    images = pairs.batch(rows).images
    sent = as_sent(images + delta, Modality.image)
    moved = (clean != attacked).sum(dim=1)
    order = moved.argsort(stable=True)
    count = min(experiment.config.evaluation.picture_rows, len(order))
    chosen = order[torch.linspace(0, len(order) - 1, count).round().long()]
    before, after = (top_database(codes[chosen], outcome.searched, top) for codes in (clean, attacked))

    def found(position: int, hits: Tensor) -> tuple[Found, ...]:
        own = pairs.labels[rows[position]]
        hit_rows = database[hits.numpy()]
        return tuple(Found(pairs.captions[row], bool((pairs.labels[row] & own).any())) for row in hit_rows)

    return [
        Exhibit(
            name=pairs.names[rows[position]],
            clean=images[position].numpy(),
            adversarial=sent[position].numpy(),
            before=found(position, before[number]),
            after=found(position, after[number]),
            moved=int(moved[position]),
        )
        for number, position in enumerate(chosen.tolist())
    ]


def top_database(codes: Tensor, searched: Searched, count: int) -> Tensor:
    """Positions of the `count` nearest database items, int64 Q x count; ties in database order."""
    return relaxed_distance(codes.float(), searched.codes.float()).argsort(dim=1, stable=True)[:, :count]
