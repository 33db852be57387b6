"""Whether a target is what it is taken for: its MAP beside the published one, and whether it gets its images right."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.config.method import CheckpointConfig, CustomMethodConfig, HttpConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.retrieval import count_distinct_codes, mean_average_precision
from aach_lightning.retrieval.metrics import chance_level
from aach_lightning.runtime.batches import map_batches
from aach_lightning.runtime.seeding import numpy_generator
from aach_lightning.runtime.store import Artifact
from aach_lightning.targets.deployment import load_target
from aach_lightning.targets.index import CodeIndex
from aach_lightning.targets.method import rarer_sign
from aach_lightning.zoo.checkpoints.convention import CONVENTIONS, Convention
from aach_lightning.zoo.checkpoints.format import Format
from aach_lightning.zoo.checkpoints.halves import ImageHalf, with_convention
from aach_lightning.zoo.checkpoints.opening import FORMATS

QUERIES, SEARCHED = 200, 1000  # of the sample on which conventions are compared
BETTER = 0.05  # MAP by which another convention must win before it is worth a word


@dataclass(frozen=True)
class TargetCheck:
    """The findings.

    Attributes:
        form: What is known of its format; None where this project has trained it, or a service answers.
        parameters: Numbers that the networks hold; None where nobody can count them.
        code_length: K.
        map: MAP over the whole ranking of the database by the query part, for "i2t" and "t2i".
        chance: MAP of a ranking by chance.
        queries: Number of queries.
        database: Number of items searched.
        bit_balance: How often the rarer sign of a bit occurs among the database, mean over bits, by side.
        distinct_codes: Among the database, by side.
        tried: Mean of both MAPs on a sample, by the overrides that choose a convention; "" is the configured one.
    """

    form: Format | None
    parameters: int | None
    code_length: int
    map: Mapping[str, float]
    chance: float
    queries: int
    database: int
    bit_balance: Mapping[str, float]
    distinct_codes: Mapping[str, int]
    tried: Mapping[str, float] = field(default_factory=dict)

    @property
    def better(self) -> str | None:
        """The overrides of a convention under which the target retrieves much better; None where there is none."""
        best = max(self.tried, key=lambda name: self.tried[name], default="")
        return best if best and self.tried[best] > self.tried[""] + BETTER else None


def check_target(experiment: Experiment, artifact: Artifact) -> TargetCheck:
    """Measure a target that is there, without its defence where conventions are compared."""
    config, pairs, split = experiment.config, experiment.pairs, experiment.split
    method, index = config.target.method, CodeIndex.load(artifact.path)
    labels = torch.from_numpy(pairs.labels)
    sides = {"image": index.image_codes[split.database], "text": index.text_codes[split.database]}
    found = TargetCheck(
        form=FORMATS[method.format] if isinstance(method, CheckpointConfig) else None,
        parameters=None,
        code_length=config.target.code_length,
        map=_both_maps(index.image_codes, index.text_codes, labels, split.query, split.database),
        chance=chance_level(labels[split.query], labels[split.database]),
        queries=len(split.query),
        database=len(split.database),
        bit_balance={side: rarer_sign(codes) for side, codes in sides.items()},
        distinct_codes={side: count_distinct_codes(codes) for side, codes in sides.items()},
    )
    if isinstance(method, HttpConfig | CustomMethodConfig):
        return found
    network = load_target(experiment, artifact)
    found = replace(found, parameters=sum(it.numel() for it in network.parameters()) or None)
    if not isinstance(network.image, ImageHalf):
        return found
    random = numpy_generator(config.target.seed, "conventions")
    query = random.permutation(split.query)[:QUERIES]
    database = random.permutation(split.database)[:SEARCHED]
    device = experiment.device
    tried = {
        name: np.mean(list(_sampled(other, pairs, index, query, database, device, name).values())).item()
        for name, other in _conventions(network, network.image)
    }
    return replace(found, tried=tried)


def _conventions(network: HashingNetwork, half: ImageHalf) -> Iterator[tuple[str, HashingNetwork]]:
    own = half.conversion.convention
    yield "", network
    seen = {own}
    options: dict[str, Convention] = {
        f"target.method.convention={name}": replace(it, transposed=own.transposed) for name, it in CONVENTIONS.items()
    }
    options[f"target.method.transposed={not own.transposed}".lower()] = replace(own, transposed=not own.transposed)
    for name, convention in options.items():
        if convention not in seen:
            seen.add(convention)
            yield name, with_convention(network, convention)


def _sampled(
    network: HashingNetwork,
    pairs: Pairs,
    index: CodeIndex,
    query: NDArray[np.int64],
    database: NDArray[np.int64],
    device: torch.device,
    name: str,
) -> dict[str, float]:
    rows = np.union1d(query, database)
    network = network.to(device)

    def compute(batch: NDArray[np.int64]) -> tuple[Tensor, ...]:
        return (binary_codes(network.hash_images(pairs.batch(batch).images.to(device))),)

    (codes,) = map_batches(compute, rows, f"a sample under {name or 'the configured convention'}")
    images = torch.zeros_like(index.image_codes)
    images[torch.from_numpy(rows)] = codes
    return _both_maps(images, index.text_codes, torch.from_numpy(pairs.labels), query, database)


def _both_maps(
    images: Tensor, texts: Tensor, labels: Tensor, query: NDArray[np.int64], database: NDArray[np.int64]
) -> dict[str, float]:
    sides = {"i2t": (images, texts), "t2i": (texts, images)}
    return {
        name: mean_average_precision(asking[query], labels[query], searched[database], labels[database])
        for name, (asking, searched) in sides.items()
    }
