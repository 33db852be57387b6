"""Which rows a surrogate learns from: chosen among the train part to be sent, or public ones with labels."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.config.choices import Selection
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split, budget_order
from aach_lightning.errors import ConfigError
from aach_lightning.networks.hashing import Encoder, HashingNetwork
from aach_lightning.networks.inference import encode_images
from aach_lightning.runtime import ranks
from aach_lightning.runtime.batches import map_batches
from aach_lightning.runtime.files import write_json
from aach_lightning.runtime.seeding import numpy_generator
from aach_lightning.runtime.trainer import compute_device
from aach_lightning.surrogates.networks import build_surrogate
from aach_lightning.surrogates.selection import least_certain, spread_out

ROWS = "rows.json"


def queried_rows(split: Split, pairs: int, seed: int) -> NDArray[np.int64]:
    """The rows that an attacker with a budget of `pairs` sends, int64 M."""
    return budget_order(split, seed)[:pairs]


def public_rows(split: Split, limit: int, seed: int) -> NDArray[np.int64]:
    """Database rows outside the train part: pairs that are public with their labels, int64, `limit` at most.

    Raises:
        ConfigError: If there are none.
    """
    outside = np.setdiff1d(split.database, split.train)
    if not len(outside):
        raise ConfigError(
            "surrogate.learns_from=labels: public pairs are database rows outside the train part, and there are none; "
            "choose a smaller split.train or another protocol"
        )
    return numpy_generator(seed, "public").permutation(outside)[:limit]


def first_round(config: RunConfig) -> RunConfig:
    """The configuration of what is learned from the first, random share of a budget."""
    pairs = max(1, round(config.budget.first_share * config.budget.pairs))
    return replace(config, budget=replace(config.budget, pairs=pairs, selection=Selection.random))


def selected_rows(
    config: RunConfig, pairs: Pairs, split: Split, folder: Path, learner: Callable[[], HashingNetwork]
) -> NDArray[np.int64]:
    """The M rows that `budget.selection` chooses; kept in `folder`, so that a restart sends what was sent before.

    coverage: the M of a seed are the first of any larger M. uncertainty: the first round is, the rest is not, as it
    depends on what was learned from the first.

    Args:
        config: Says how; not for `budget.selection=random`.
        pairs: The data set.
        split: The pool is its train part.
        folder: Of the artifact that is built.
        learner: Gives what was learned from the first round.

    Returns:
        int64, M, on every process the same.
    """
    kept = ranks.on_first(lambda: json.loads((folder / ROWS).read_text()) if (folder / ROWS).exists() else None)
    if kept is None:
        covers = config.budget.selection is Selection.coverage
        rows = _covering(config, pairs, split) if covers else _uncertain(config, pairs, split, learner())
        # two graphics cards may not agree about the last bit of a feature
        kept = ranks.on_first(rows.tolist)
        ranks.on_first(lambda: write_json(folder / ROWS, kept))
    return np.asarray(kept, dtype=np.int64)


def _covering(config: RunConfig, pairs: Pairs, split: Split) -> NDArray[np.int64]:
    pool = budget_order(split, config.seed)
    device = compute_device(config.trainer)
    halves = [cast(Encoder, member.image) for member in build_surrogate(config, pairs).members]
    read = [encode_images(half, pairs, pool, "surrogate reads the pool", device) for half in halves]
    features = torch.cat([F.normalize(part, dim=1) for part in read], dim=1)
    chosen: NDArray[np.int64] = pool[spread_out(features, config.budget.pairs).numpy()]
    return chosen


def _uncertain(config: RunConfig, pairs: Pairs, split: Split, network: HashingNetwork) -> NDArray[np.int64]:
    asked = first_round(config).budget.pairs
    pool = budget_order(split, config.seed)
    device = compute_device(config.trainer)
    network = network.eval().to(device)

    def compute(rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
        batch = pairs.batch(rows).to(device)
        return network.hash_images(batch.images), network.hash_texts(batch.texts)

    rest = pool[asked:]
    more = config.budget.pairs - asked
    if not more:
        return pool[:asked]
    images, texts = map_batches(compute, rest, "surrogate looks for doubt")
    return np.concatenate([pool[:asked], rest[least_certain(images, texts, more).numpy()]])
