"""Hamming retrieval metrics: pure functions and the torchmetrics classes on them."""

from aach_lightning.retrieval.average_precision import (
    best_average_precision,
    chance_average_precision,
    expected_average_precision,
    worst_average_precision,
)
from aach_lightning.retrieval.code_statistics import bit_balance, count_distinct_codes
from aach_lightning.retrieval.codes import pack_codes, pack_labels
from aach_lightning.retrieval.cosine import cosine_mean_average_precision
from aach_lightning.retrieval.directions import Direction, PairCodes, histograms_by_direction
from aach_lightning.retrieval.histogram import JointHistogram, joint_histogram, packed_joint_histogram
from aach_lightning.retrieval.mean_metrics import (
    HammingBestMAP,
    HammingChanceMAP,
    HammingNDCGAt,
    HammingPrecisionAt,
    HammingPrecisionWithin,
    HammingRecallAt,
    HammingRecallWithin,
    HammingWorstMAP,
)
from aach_lightning.retrieval.metrics import HammingHistogram, HammingMAP, chance_level, mean_average_precision
from aach_lightning.retrieval.radius import (
    PrecisionRecallCurve,
    precision_recall_curve,
    precision_within,
    recall_within,
)
from aach_lightning.retrieval.stable_order import MapDefinition, stable_mean_average_precision
from aach_lightning.retrieval.tables import QueryMean, mean_over_queries
from aach_lightning.retrieval.top_n import ndcg_at, precision_at, recall_at

__all__ = [
    "Direction",
    "HammingBestMAP",
    "HammingChanceMAP",
    "HammingHistogram",
    "HammingMAP",
    "HammingNDCGAt",
    "HammingPrecisionAt",
    "HammingPrecisionWithin",
    "HammingRecallAt",
    "HammingRecallWithin",
    "HammingWorstMAP",
    "JointHistogram",
    "MapDefinition",
    "PairCodes",
    "PrecisionRecallCurve",
    "QueryMean",
    "best_average_precision",
    "bit_balance",
    "chance_average_precision",
    "chance_level",
    "cosine_mean_average_precision",
    "count_distinct_codes",
    "expected_average_precision",
    "histograms_by_direction",
    "joint_histogram",
    "mean_average_precision",
    "mean_over_queries",
    "ndcg_at",
    "pack_codes",
    "pack_labels",
    "packed_joint_histogram",
    "precision_at",
    "precision_recall_curve",
    "precision_within",
    "recall_at",
    "recall_within",
    "stable_mean_average_precision",
    "worst_average_precision",
]
