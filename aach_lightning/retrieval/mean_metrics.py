"""Further torchmetrics classes on the joint histogram; a `MetricCollection` of them passes over the database once."""

from typing import Any

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

    per_query = staticmethod(best_average_precision)


class HammingWorstMAP(HammingMean):
    """MAP with the ties in the least favourable order. Arguments as `HammingHistogram`."""

    per_query = staticmethod(worst_average_precision)


class HammingChanceMAP(HammingMean):
    """MAP that a random ranking of the same database would have. Arguments as `HammingHistogram`."""

    per_query = staticmethod(chance_average_precision)


class _AtRank(HammingMean):
    def __init__(self, queries: int, code_length: int, n: int, **kwargs: Any) -> None:
        super().__init__(queries, code_length, **kwargs)
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        self.cut = (n,)


class HammingPrecisionAt(_AtRank):
    """Expected precision of the first n ranks. Arguments as `HammingHistogram`, then n."""

    per_query = staticmethod(precision_at)


class HammingRecallAt(_AtRank):
    """Expected recall of the first n ranks. Arguments as `HammingHistogram`, then n."""

    per_query = staticmethod(recall_at)


class HammingNDCGAt(_AtRank):
    """Expected NDCG of the first n ranks. Arguments as `HammingHistogram`, then n."""

    per_query = staticmethod(ndcg_at)


class _WithinRadius(HammingMean):
    def __init__(self, queries: int, code_length: int, radius: int, **kwargs: Any) -> None:
        super().__init__(queries, code_length, **kwargs)
        if not 0 <= radius <= code_length:
            raise ValueError(f"radius must be 0 to {code_length} (the code length), got {radius}")
        self.cut = (radius,)


class HammingPrecisionWithin(_WithinRadius):
    """Precision of everything within a radius. Arguments as `HammingHistogram`, then radius."""

    per_query = staticmethod(precision_within)


class HammingRecallWithin(_WithinRadius):
    """Recall of everything within a radius. Arguments as `HammingHistogram`, then radius."""

    per_query = staticmethod(recall_within)
