"""Precision and recall of everything within a Hamming radius: hash lookup, and the precision-recall curve."""

from typing import NamedTuple

from torch import Tensor

from aach_lightning.retrieval.tables import check_tables


class PrecisionRecallCurve(NamedTuple):
    """Precision and recall of each query when everything within a radius is returned, for each radius 0..K.

    Attributes:
        precision: float64, Q x (K+1), in [0, 1]; 0 where nothing lies within the radius (a failed lookup).
        recall: float64, Q x (K+1), in [0, 1]; 0 for a query without a relevant item.
    """

    precision: Tensor
    recall: Tensor


def precision_recall_curve(items: Tensor, relevant: Tensor) -> PrecisionRecallCurve:
    """Precision and recall within each radius. No rank enters, so ties do not matter.

    Args:
        items: int64, Q x (K+1). Database items at each distance.
        relevant: int64, Q x (K+1). Relevant ones among them.

    Raises:
        ValueError: If the tables are empty, differ in shape or are not counts.

    Example:
        >>> import torch
        >>> precision, recall = precision_recall_curve(torch.tensor([[0, 2, 2]]), torch.tensor([[0, 1, 0]]))
        >>> precision.tolist(), recall.tolist()
        ([[0.0, 0.5, 0.25]], [[0.0, 1.0, 1.0]])
    """
    check_tables(items, relevant)
    returned, found = items.cumsum(1), relevant.cumsum(1).double()
    return PrecisionRecallCurve(found / returned.clamp(min=1), found / found[:, -1:].clamp(min=1))


def precision_within(items: Tensor, relevant: Tensor, radius: int) -> Tensor:
    """Share of relevant items among those within a radius.

    Args:
        items: int64, Q x (K+1). Database items at each distance.
        relevant: int64, Q x (K+1). Relevant ones among them.
        radius: Largest distance that is returned, 0 to K; 2 is the custom in hash lookup.

    Returns:
        float64, Q, in [0, 1]; 0 where nothing is returned.

    Raises:
        ValueError: If the tables are not those of a retrieval, or `radius` is out of range.
    """
    returned, found = _within(items, relevant, radius)
    return found / returned.clamp(min=1)


def recall_within(items: Tensor, relevant: Tensor, radius: int) -> Tensor:
    """Share of the relevant items that lie within a radius; 0 for a query without a relevant item.

    Args, returns and raises as `precision_within`.
    """
    _, found = _within(items, relevant, radius)
    return found / relevant.sum(1).clamp(min=1)


def _within(items: Tensor, relevant: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    check_tables(items, relevant)
    if not 0 <= radius < items.shape[1]:
        raise ValueError(f"radius must be 0 to {items.shape[1] - 1} (the code length), got {radius}")
    return items[:, : radius + 1].sum(1), relevant[:, : radius + 1].sum(1).double()
