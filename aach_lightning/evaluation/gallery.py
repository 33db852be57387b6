"""A few attacked images with what the target finds for them before and after."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from aach_lightning.config.schema import RunConfig
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split
from aach_lightning.evaluation.protocol import Measurement, Searched, as_sent, top_database
from aach_lightning.evaluation.rows import DirectionOutcome


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


def make_gallery(
    pairs: Pairs,
    rows: NDArray[np.int64],
    database: NDArray[np.int64],
    searched: Searched,
    clean: Measurement,
    attacked: Measurement,
    adversarial: torch.Tensor,
    count: int,
    top: int = 5,
) -> list[Exhibit]:
    """Show the attacked images at evenly spaced ranks of how far their codes moved, from the least to the most.

    Args:
        pairs: The data set.
        rows: int64, Q attacked rows.
        database: int64, N searched rows.
        searched: Text codes and labels of the database.
        clean: The target's answers to the clean images.
        attacked: Its answers to the adversarial ones.
        adversarial: float in [0, 1], Q x 3 x H x W, as sent.
        count: Number of exhibits.
        top: Number of texts each.
    """
    moved = (clean.codes != attacked.codes).sum(dim=1)
    order = moved.argsort(stable=True)
    chosen = order[torch.linspace(0, len(order) - 1, min(count, len(order))).round().long()]
    before = top_database(clean.codes[chosen], searched, top)
    after = top_database(attacked.codes[chosen], searched, top)

    def found(position: int, hits: torch.Tensor) -> tuple[Found, ...]:
        own = pairs.labels[rows[position]]
        hit_rows = database[hits.numpy()]
        return tuple(Found(pairs.captions[row], bool((pairs.labels[row] & own).any())) for row in hit_rows)

    return [
        Exhibit(
            name=pairs.names[rows[position]],
            clean=pairs.batch(rows[position : position + 1]).images[0].numpy(),
            adversarial=adversarial[position].numpy(),
            before=found(position, before[number]),
            after=found(position, after[number]),
            moved=int(moved[position]),
        )
        for number, position in enumerate(chosen.tolist())
    ]


def attack_gallery(
    config: RunConfig,
    pairs: Pairs,
    split: Split,
    rows: NDArray[np.int64],
    outcome: DirectionOutcome,
    delta: torch.Tensor,
) -> list[Exhibit]:
    """Show some of the images that a run has attacked.

    Args:
        config: Says how many.
        pairs: The data set.
        split: Says which rows are searched.
        rows: int64, Q attacked rows.
        outcome: What was measured with them.
        delta: float, Q x 3 x H x W, of the black-box attack.
    """
    found, sent = outcome.measurements, as_sent(pairs.batch(rows).images + delta, Modality.image)
    count = config.evaluation.picture_rows
    return make_gallery(pairs, rows, split.database, outcome.searched, found["clean"], found["attack"], sent, count)
