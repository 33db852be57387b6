"""The protocol: the target's codes of changed queries against the database of the other modality."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import HasCodes, Modality
from aach_lightning.data.pairs import PairBatch, Pairs
from aach_lightning.data.splits import Split
from aach_lightning.evaluation.perceptibility import Perceptibility, item_perceptibility, pooled
from aach_lightning.retrieval import mean_average_precision
from aach_lightning.runtime.batches import map_batches
from aach_lightning.targets.blackbox import EvaluationDoor, round_to_8_bits
from aach_lightning.targets.index import CodeIndex

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


@dataclass(frozen=True)
class Evaluation:
    """What measures: evaluation's own view of the target, which no attacker has.

    Attributes:
        experiment: Its attacked rows are the queries.
        door: Evaluation's own way to the target.
        index: The target's codes of the whole data set.
    """

    experiment: Experiment
    door: EvaluationDoor
    index: CodeIndex

    def searched(self, modality: Modality) -> Searched:
        """The database that queries of a modality search."""
        return searched_database(self.index, self.experiment.pairs, self.experiment.split, modality)

    def clean(self, modality: Modality) -> Measurement:
        """The unchanged queries, whose codes are known."""
        codes = modality.codes(self.index)[self.experiment.attacked]
        return self._measured(modality, codes, Perceptibility(0.0, 0.0, None, None))

    def measure(self, modality: Modality, delta: Delta) -> Measurement:
        """Send changed queries to the target and measure its retrieval.

        Args:
            modality: Which half is changed and searched with.
            delta: The change of each batch.
        """
        pairs, rows = self.experiment.pairs, self.experiment.attacked

        def compute(positions: NDArray[np.int64]) -> tuple[Tensor, ...]:
            batch = pairs.batch(rows[positions])
            clean = modality.of(batch)
            sent = as_sent(clean + delta(positions, batch), modality)
            return modality.codes(self.door)(sent), item_perceptibility(clean, sent)

        codes, items = map_batches(compute, np.arange(len(rows)))
        return self._measured(modality, codes, pooled(items))

    def _measured(self, modality: Modality, codes: Tensor, change: Perceptibility) -> Measurement:
        found = search(codes, self.experiment.pairs, self.experiment.attacked, self.searched(modality))
        return Measurement(codes, found, change)


def searched_database(index: HasCodes[Tensor], pairs: Pairs, split: Split, modality: Modality) -> Searched:
    """The target's codes of the database, of the modality that is not attacked."""
    codes = modality.other.codes(index)[split.database]
    return Searched(codes, torch.from_numpy(pairs.labels[split.database]))


def search(codes: Tensor, pairs: Pairs, rows: NDArray[np.int64], searched: Searched) -> float:
    """MAP of queries `rows` whose codes are `codes`."""
    return mean_average_precision(codes, torch.from_numpy(pairs.labels[rows]), searched.codes, searched.labels)


def as_sent(inputs: Tensor, modality: Modality) -> Tensor:
    """What the target is shown: images rounded to 8 bits, texts as they are."""
    return round_to_8_bits(inputs) if modality is Modality.image else inputs


def given_delta(delta: Tensor) -> Delta:
    """A change that is known for each attacked item: float, Q x ..."""
    return lambda positions, batch: delta[torch.from_numpy(positions)]
