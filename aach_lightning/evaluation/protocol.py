"""The protocol: the target's codes of changed queries against the database of the other modality."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import PairBatch, Pairs
from aach_lightning.evaluation.perceptibility import Perceptibility, item_perceptibility, pooled
from aach_lightning.networks.hashing import relaxed_distance
from aach_lightning.perturbations.space import Space
from aach_lightning.retrieval import mean_average_precision
from aach_lightning.runtime.batches import map_batches
from aach_lightning.runtime.seeding import torch_generator
from aach_lightning.targets.blackbox import EvaluationDoor, round_to_8_bits

Delta = Callable[[NDArray[np.int64], PairBatch], Tensor]
"""Positions of a batch among the attacked rows, and the batch, to its change: the shape of the attacked half."""


@dataclass(frozen=True)
class Searched:
    """The database of the modality that is not attacked.

    Attributes:
        codes: int8 in {-1, +1}, N x K.
        labels: uint8 in {0, 1}, N x C.
    """

    codes: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Measurement:
    """What one kind of query did to the target.

    Attributes:
        codes: int8 in {-1, +1}, Q x K.
        map: In [0, 1].
        perceptibility: Of the change; zeros for clean queries.
    """

    codes: Tensor
    map: float
    perceptibility: Perceptibility


def attacked_inputs(batch: PairBatch, modality: Modality) -> Tensor:
    """The half of a batch that is attacked."""
    return batch.images if modality == "image" else batch.texts


def as_sent(inputs: Tensor, modality: Modality) -> Tensor:
    """What the target is shown: images rounded to 8 bits, texts as they are."""
    return round_to_8_bits(inputs) if modality == "image" else inputs


def measure(
    door: EvaluationDoor,
    pairs: Pairs,
    rows: NDArray[np.int64],
    modality: Modality,
    searched: Searched,
    delta: Delta,
) -> Measurement:
    """Send changed queries to the target and measure its retrieval.

    Args:
        door: Evaluation's own way to the target.
        pairs: The data set.
        rows: int64, Q attacked rows.
        modality: Which half is changed and searched with.
        searched: The database.
        delta: The change of each batch.
    """

    def compute(positions: NDArray[np.int64]) -> tuple[Tensor, ...]:
        batch = pairs.batch(rows[positions])
        clean = attacked_inputs(batch, modality)
        sent = as_sent(clean + delta(positions, batch), modality)
        answer = door.image_codes(sent) if modality == "image" else door.text_codes(sent)
        return answer, item_perceptibility(clean, sent)

    codes, items = map_batches(compute, np.arange(len(rows)))
    return Measurement(codes, search(codes, pairs, rows, searched), pooled(items))


def search(codes: Tensor, pairs: Pairs, rows: NDArray[np.int64], searched: Searched) -> float:
    """MAP of queries `rows` whose codes are `codes`."""
    return mean_average_precision(codes, torch.from_numpy(pairs.labels[rows]), searched.codes, searched.labels)


def random_signs(seed: int, modality: Modality, batch: PairBatch) -> Tensor:
    """Signs in {-1, +1} for each attacked item, from (seed, id) alone."""
    shape = attacked_inputs(batch, modality).shape[1:]
    draws = [
        torch.randint(0, 2, shape, generator=torch_generator(seed, "noise", modality, item))
        for item in batch.ids.tolist()
    ]
    return torch.stack(draws).float() * 2 - 1


def noise_delta(seed: int, modality: Modality, space: Space) -> Delta:
    """The floor that every attack must beat: random signs at full epsilon."""

    def delta(positions: NDArray[np.int64], batch: PairBatch) -> Tensor:
        return space.sign_noise(attacked_inputs(batch, modality), random_signs(seed, modality, batch))

    return delta


def given_delta(delta: Tensor) -> Delta:
    """A change that is known for each attacked item: float, Q x ..."""
    return lambda positions, batch: delta[torch.from_numpy(positions)]


def code_distance(first: Tensor, second: Tensor) -> float:
    """Mean Hamming distance in bits between codes of the same items."""
    return float((first != second).sum(dim=1).double().mean())


def top_database(codes: Tensor, searched: Searched, count: int) -> Tensor:
    """Positions of the `count` nearest database items, int64 Q x count; ties in database order."""
    return relaxed_distance(codes.float(), searched.codes.float()).argsort(dim=1, stable=True)[:, :count]
