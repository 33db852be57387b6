"""A few attacked images with what the target finds for them before and after."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from aach_lightning.data.pairs import Pairs
from aach_lightning.evaluation.protocol import Measurement, Searched, top_database


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
