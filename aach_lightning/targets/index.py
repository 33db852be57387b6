"""The codes that a deployed target keeps of its whole collection, and the report that says what they are worth."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.data.experiment import Experiment
from aach_lightning.data.splits import Split
from aach_lightning.networks.hashing import binary_codes
from aach_lightning.retrieval import cosine_mean_average_precision
from aach_lightning.runtime.checkpoints import load_tensors, save_tensors
from aach_lightning.runtime.files import write_json
from aach_lightning.runtime.seeding import numpy_generator
from aach_lightning.runtime.store import Artifact
from aach_lightning.targets.report import describe_index, measure

INDEX, REPORT, SPLIT = "index.safetensors", "report.json", "split.json"
LEARN = "Try a smaller target.image_lr / target.text_lr, more train pairs, or a pretrained image_net"
CONVERT = "python -m aach_lightning.targets check tells whether its images should be converted otherwise"


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
    outside = np.setdiff1d(split.database, split.train)
    pool, most = (outside, len(outside)) if len(outside) else (split.train, len(split.train) // 2)
    return numpy_generator(seed, "validation").permutation(pool)[: min(limit, most)]


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
    target, pairs, split = experiment.config.target, experiment.pairs, experiment.split
    query = validation_rows(split, target.validation, target.seed)
    database = np.setdiff1d(split.database, query)
    save_tensors(folder / INDEX, {"image_codes": index.image_codes, "text_codes": index.text_codes})
    report = describe_index(index.image_codes, index.text_codes, pairs, query, database, epoch, advice)
    if vectors is not None:
        report["validation_map_cosine"] = measure(cosine_mean_average_precision, *vectors, pairs, query, database)
    write_json(folder / REPORT, report)
    split.save(folder / SPLIT)
    (folder / "vocabulary.txt").write_text("\n".join(pairs.words) + "\n", encoding="utf-8")


def read_report(artifact: Artifact) -> dict[str, Any]:
    """The report of a target artifact."""
    report: dict[str, Any] = json.loads((artifact.path / REPORT).read_text())
    return report
