"""The codes that a deployed target keeps of its whole collection, and the report that says what they are worth."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split
from aach_lightning.networks.hashing import binary_codes
from aach_lightning.retrieval import cosine_mean_average_precision, count_distinct_codes, mean_average_precision
from aach_lightning.retrieval.metrics import chance_level
from aach_lightning.runtime.checkpoints import load_tensors, save_tensors
from aach_lightning.runtime.files import write_json
from aach_lightning.runtime.seeding import numpy_generator
from aach_lightning.runtime.store import Artifact
from aach_lightning.targets.method import rarer_sign

INDEX, REPORT, SPLIT = "index.safetensors", "report.json", "split.json"
LEARN = "Try a smaller target.image_lr / target.text_lr, more train pairs, or a pretrained image_net"
CONVERT = "python -m aach_lightning.targets check tells whether its images should be converted otherwise"


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CodeIndex:
    """The codes that a deployed system keeps of its whole collection.

    Attributes:
        image_codes: int8 in {-1, +1}, N x K, row i for pair i of the data set.
        text_codes: int8 in {-1, +1}, N x K.
    """

    image_codes: Tensor
    text_codes: Tensor

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the index of a target artifact."""
        return cls(**load_tensors(folder / INDEX))

    @classmethod
    def of(cls, relaxed: tuple[Tensor, Tensor]) -> Self:
        """Take the signs of relaxed codes of images and texts, each N x K."""
        images, texts = relaxed
        return cls(binary_codes(images), binary_codes(texts))


def validation_rows(split: Split, limit: int, seed: int) -> NDArray[np.int64]:
    """Database rows that watch the training of a target: outside train where there are such, else up to half of train.

    The query part is never used for this: it stays unseen until the evaluation.
    """
    pool, most = split.outside, len(split.outside)
    if not most:
        pool, most = split.train, len(split.train) // 2
    return numpy_generator(seed, "validation").permutation(pool)[: min(limit, most)]


def validation_parts(experiment: Experiment) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows that watch the training of the target as queries, and those of the database that they search."""
    target, split = experiment.config.target, experiment.split
    query = validation_rows(split, target.validation, target.seed)
    return query, np.setdiff1d(split.database, query)


def write_index(
    experiment: Experiment,
    folder: Path,
    index: CodeIndex,
    epoch: int = 0,
    advice: str = LEARN,
    vectors: tuple[Tensor, Tensor] | None = None,
) -> None:
    """Write what lies beside the weights of a target: its index, a report, and the data that it is made for.

    Args:
        experiment: Its configuration and data.
        folder: Where to.
        index: Codes of the collection.
        epoch: The epoch whose weights were kept, from 0: the best, or the last where no labels are read.
        advice: What to try where the codes look collapsed.
        vectors: Relaxed codes, for methods whose paper ranks real vectors: the MAP of these is reported too.
    """
    pairs, (query, database) = experiment.pairs, validation_parts(experiment)
    save_tensors(folder / INDEX, {"image_codes": index.image_codes, "text_codes": index.text_codes})
    report = {"kept_epoch": epoch, **describe_index(index, pairs, query, database, advice)}
    if vectors is not None:
        metric = cosine_mean_average_precision
        report["validation_map_cosine"] = _both_ways(metric, vectors, pairs.labels, query, database)
    write_json(folder / REPORT, report)
    experiment.split.save(folder / SPLIT)
    (folder / "vocabulary.txt").write_text("\n".join(pairs.words) + "\n", encoding="utf-8")


def read_report(artifact: Artifact) -> dict[str, Any]:
    """The report of a target artifact."""
    report: dict[str, Any] = json.loads((artifact.path / REPORT).read_text())
    return report


def describe_index(
    index: CodeIndex, pairs: Pairs, query: NDArray[np.int64], database: NDArray[np.int64], advice: str
) -> dict[str, Any]:
    """What the codes of a collection are worth; a warning where they look collapsed.

    Args:
        index: The codes.
        pairs: The data set, for its labels.
        query: int64, rows that ask.
        database: int64, rows that are searched.
        advice: What to try against a collapse.
    """
    codes = index.image_codes, index.text_codes
    sides = {"image": index.image_codes[database], "text": index.text_codes[database]}
    found = _both_ways(mean_average_precision, codes, pairs.labels, query, database)
    chance = chance_level(torch.from_numpy(pairs.labels[query]), torch.from_numpy(pairs.labels[database]))
    distinct = {side: count_distinct_codes(part) for side, part in sides.items()}
    for name, value in found.items():
        if value < chance + 0.05 or min(distinct.values()) < 0.01 * len(database):
            log.warning(
                "the target looks collapsed: MAP %s %.3f beside chance %.3f, %s distinct codes of %d items. %s.",
                name,
                value,
                chance,
                distinct,
                len(database),
                advice,
            )
            break
    return {
        "validation_queries": len(query),
        "validation_map": found,
        "chance_map": chance,
        "bit_balance": {side: rarer_sign(part) for side, part in sides.items()},
        "distinct_codes": distinct,
        "database": len(database),
    }


def _both_ways(
    metric: Callable[[Tensor, Tensor, Tensor, Tensor], float],
    vectors: tuple[Tensor, Tensor],
    labels: NDArray[np.uint8],
    query: NDArray[np.int64],
    database: NDArray[np.int64],
) -> dict[str, float]:
    """A metric of image queries among texts and of text queries among images; `vectors` are N x K of all pairs."""
    asked, searched = torch.from_numpy(labels[query]), torch.from_numpy(labels[database])
    images, texts = vectors
    return {
        "i2t": metric(images[query], asked, texts[database], searched),
        "t2i": metric(texts[query], asked, images[database], searched),
    }
