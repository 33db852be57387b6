"""The report that says whether a target is any good."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.data.pairs import Pairs
from aach_lightning.retrieval import count_distinct_codes, mean_average_precision
from aach_lightning.retrieval.chance import chance_level
from aach_lightning.targets.method import rarer_sign

log = logging.getLogger(__name__)


def measure(
    metric: Callable[[Tensor, Tensor, Tensor, Tensor], float],
    images: Tensor,
    texts: Tensor,
    pairs: Pairs,
    query: NDArray[np.int64],
    database: NDArray[np.int64],
) -> dict[str, float]:
    """A metric in both directions.

    Args:
        metric: Of queries, their labels, what is searched, and its labels.
        images: N x K, codes or vectors of all images of the data set.
        texts: N x K, of all texts.
        pairs: The data set, for its labels.
        query: int64, rows of the queries.
        database: int64, rows that are searched.
    """
    labels = torch.from_numpy(pairs.labels)
    sides = {"i2t": (images, texts), "t2i": (texts, images)}
    return {
        name: metric(queries[query], labels[query], searched[database], labels[database])
        for name, (queries, searched) in sides.items()
    }


def describe_index(
    image_codes: Tensor,
    text_codes: Tensor,
    pairs: Pairs,
    query: NDArray[np.int64],
    database: NDArray[np.int64],
    epoch: int,
    advice: str,
) -> dict[str, Any]:
    """What the codes of a collection are worth; a warning where they look collapsed.

    Args:
        image_codes: int8 in {-1, +1}, N x K.
        text_codes: int8 in {-1, +1}, N x K.
        pairs: The data set.
        query: int64, rows that ask.
        database: int64, rows that are searched.
        epoch: The epoch whose weights were kept.
        advice: What to try against a collapse.
    """
    labels = torch.from_numpy(pairs.labels)
    sides_codes = {"image": image_codes[database], "text": text_codes[database]}
    report: dict[str, Any] = {
        "kept_epoch": epoch,
        "validation_queries": len(query),
        "validation_map": measure(mean_average_precision, image_codes, text_codes, pairs, query, database),
        "chance_map": chance_level(labels[query], labels[database]),
        "bit_balance": {side: rarer_sign(codes) for side, codes in sides_codes.items()},
        "distinct_codes": {side: count_distinct_codes(codes) for side, codes in sides_codes.items()},
        "database": len(database),
    }
    for name, value in report["validation_map"].items():
        if value < report["chance_map"] + 0.05 or min(report["distinct_codes"].values()) < 0.01 * len(database):
            log.warning(
                "the target looks collapsed: MAP %s %.3f beside chance %.3f, %s distinct codes of %d items. %s.",
                name,
                value,
                report["chance_map"],
                report["distinct_codes"],
                len(database),
                advice,
            )
            break
    return report
