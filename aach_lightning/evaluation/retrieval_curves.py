"""Precision-recall and precision among the first N, before and after: kept beside the result, measured with it."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from aach_lightning.evaluation.document import checked, read_document
from aach_lightning.evaluation.protocol import Searched
from aach_lightning.evaluation.result import Direction
from aach_lightning.evaluation.rows import DirectionOutcome
from aach_lightning.retrieval import joint_histogram, precision_at, precision_recall_curve
from aach_lightning.retrieval.tables import mean_over_queries
from aach_lightning.runtime.files import write_json

CURVES = "curves.json"
SCHEMA = "aach_lightning.curves/1"
_STEPS = (1, 2, 5)  # of each power of ten
_DIGITS = 6


@dataclass(frozen=True)
class RetrievalCurve:
    """How one kind of query retrieves; means over the queries that have a relevant item in the database.

    Attributes:
        direction: "I2T" or "T2I".
        query: "clean", "noise", "attack" or "white_box".
        precision: Within the radii 0..K, in [0, 1]; a query that finds nothing within a radius counts 0 there.
        recall: Within the same radii.
        ranks: Numbers N of first ranks, ascending.
        precision_at: Expected precision among the first N, over random ties.
    """

    direction: Direction
    query: str
    precision: list[float]
    recall: list[float]
    ranks: list[int]
    precision_at: list[float]


@dataclass(frozen=True)
class RetrievalCurves:
    """All curves of a run.

    Attributes:
        curves: One for each direction and kind of query.
        schema: Version of this form.
    """

    curves: tuple[RetrievalCurve, ...]
    schema: str = SCHEMA

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read saved curves.

        Raises:
            DataError: If the file is unreadable, half-written or of another version, or lists differ in length.
        """
        return read_document(path, "curves", (SCHEMA,), cls._of)

    @classmethod
    def _of(cls, content: dict[str, Any]) -> Self:
        curves = tuple(checked(RetrievalCurve, curve) for curve in content["curves"])
        for curve in curves:
            if len(curve.precision) != len(curve.recall) or len(curve.ranks) != len(curve.precision_at):
                raise ValueError("lists of a curve differ in length")
        return cls(curves)


def retrieval_curves(outcomes: Iterable[DirectionOutcome], labels: Tensor) -> RetrievalCurves:
    """Curves of everything that was measured.

    Args:
        outcomes: One for each direction.
        labels: uint8 in {0, 1}, Q x C, of the attacked queries.
    """
    return RetrievalCurves(
        tuple(
            _curve(outcome.rows[0].direction, query, found.codes, labels, outcome.searched)
            for outcome in outcomes
            for query, found in outcome.measurements.items()
        )
    )


def _curve(direction: Direction, query: str, codes: Tensor, labels: Tensor, searched: Searched) -> RetrievalCurve:
    items, relevant = joint_histogram(codes, labels, searched.codes, searched.labels)
    precision, recall = precision_recall_curve(items, relevant)
    ranks = first_ranks(len(searched.codes))

    def means(per_query: Tensor) -> list[float]:
        return [round(mean_over_queries(column, relevant).value, _DIGITS) for column in per_query.unbind(dim=1)]

    at_ranks = torch.stack([precision_at(items, relevant, rank) for rank in ranks], dim=1)
    return RetrievalCurve(direction, query, means(precision), means(recall), ranks, means(at_ranks))


def first_ranks(database: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, ... up to the size of the database.

    Example:
        >>> first_ranks(30)
        [1, 2, 5, 10, 20]
    """
    powers = range(int(math.log10(database)) + 1)
    return [step * 10**power for power in powers for step in _STEPS if step * 10**power <= database]
