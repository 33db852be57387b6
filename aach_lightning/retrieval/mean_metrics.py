"""Further torchmetrics classes on the joint histogram; a `MetricCollection` of them passes over the database once."""

from typing import Any

from torch import Tensor

from aach_lightning.retrieval.average_precision import (
    best_average_precision,
    chance_average_precision,
    worst_average_precision,
)
from aach_lightning.retrieval.metrics import HammingMean
from aach_lightning.retrieval.radius import precision_within, recall_within
from aach_lightning.retrieval.top_n import ndcg_at, precision_at, recall_at


class HammingBestMAP(HammingMean):
    """MAP with the ties in the most favourable order. Arguments as `HammingHistogram`."""

    def per_query(self, items: Tensor, relevant: Tensor) -> Tensor:
        """Best average precision of each query."""
        return best_average_precision(items, relevant)


class HammingWorstMAP(HammingMean):
    """MAP with the ties in the least favourable order. Arguments as `HammingHistogram`."""

    def per_query(self, items: Tensor, relevant: Tensor) -> Tensor:
        """Worst average precision of each query."""
        return worst_average_precision(items, relevant)


class HammingChanceMAP(HammingMean):
    """MAP that a random ranking of the same database would have. Arguments as `HammingHistogram`."""

    def per_query(self, items: Tensor, relevant: Tensor) -> Tensor:
        """Average precision of chance of each query."""
        return chance_average_precision(items, relevant)


class _AtRank(HammingMean):
    def __init__(self, queries: int, code_length: int, n: int, **kwargs: Any) -> None:
        super().__init__(queries, code_length, **kwargs)
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        self.n = n


class HammingPrecisionAt(_AtRank):
    """Expected precision of the first n ranks. Arguments as `HammingHistogram`, then n."""

    def per_query(self, items: Tensor, relevant: Tensor) -> Tensor:
        """Expected precision at n of each query."""
        return precision_at(items, relevant, self.n)


class HammingRecallAt(_AtRank):
    """Expected recall of the first n ranks. Arguments as `HammingHistogram`, then n."""

    def per_query(self, items: Tensor, relevant: Tensor) -> Tensor:
        """Expected recall at n of each query."""
        return recall_at(items, relevant, self.n)


class HammingNDCGAt(_AtRank):
    """Expected NDCG of the first n ranks. Arguments as `HammingHistogram`, then n."""

    def per_query(self, items: Tensor, relevant: Tensor) -> Tensor:
        """Expected NDCG at n of each query."""
        return ndcg_at(items, relevant, self.n)


class _WithinRadius(HammingMean):
    def __init__(self, queries: int, code_length: int, radius: int, **kwargs: Any) -> None:
        super().__init__(queries, code_length, **kwargs)
        if not 0 <= radius <= code_length:
            raise ValueError(f"radius must be 0 to {code_length} (the code length), got {radius}")
        self.radius = radius


class HammingPrecisionWithin(_WithinRadius):
    """Precision of everything within a radius. Arguments as `HammingHistogram`, then radius."""

    def per_query(self, items: Tensor, relevant: Tensor) -> Tensor:
        """Precision within the radius of each query."""
        return precision_within(items, relevant, self.radius)


class HammingRecallWithin(_WithinRadius):
    """Recall of everything within a radius. Arguments as `HammingHistogram`, then radius."""

    def per_query(self, items: Tensor, relevant: Tensor) -> Tensor:
        """Recall within the radius of each query."""
        return recall_within(items, relevant, self.radius)
