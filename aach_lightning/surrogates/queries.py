"""Which rows a surrogate learns from: chosen among the train part to be sent, or public ones with labels."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from aach_lightning.config.choices import Selection
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.splits import budget_order
from aach_lightning.errors import ConfigError
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.networks.inference import relax_pairs
from aach_lightning.runtime import ranks
from aach_lightning.runtime.files import write_json
from aach_lightning.runtime.seeding import numpy_generator
from aach_lightning.surrogates.networks import build_surrogate, read_features
from aach_lightning.surrogates.selection import least_certain, spread_out

ROWS = "rows.json"


def public_rows(experiment: Experiment) -> NDArray[np.int64]:
    """Database rows outside the train part: pairs that are public with their labels, `surrogate.public_pairs` at most.

    Raises:
        ConfigError: If there are none.
    """
    config, outside = experiment.config, experiment.split.outside
    if not len(outside):
        raise ConfigError(
            "surrogate.learns_from=labels: public pairs are database rows outside the train part, and there are none; "
            "choose a smaller split.train or another protocol"
        )
    return numpy_generator(config.seed, "public").permutation(outside)[: config.surrogate.public_pairs]


def first_round(experiment: Experiment) -> Experiment:
    """The experiment whose budget is the first, random share of this one's."""
    budget = experiment.config.budget
    pairs = max(1, round(budget.first_share * budget.pairs))
    return experiment.with_blocks(budget=replace(budget, pairs=pairs, selection=Selection.random))


def selected_rows(experiment: Experiment, folder: Path, learner: Callable[[], HashingNetwork]) -> NDArray[np.int64]:
    """The M rows that `budget.selection` chooses; kept in `folder`, so that a restart sends what was sent before.

    coverage: the M of a seed are the first of any larger M. uncertainty: the first round is, the rest is not, as it
    depends on what was learned from the first.

    Args:
        experiment: Its pool is the train part; not for `budget.selection=random`.
        folder: Of the artifact that is built.
        learner: Gives what was learned from the first round.

    Returns:
        int64, M, on every process the same.
    """
    kept = ranks.on_first(lambda: json.loads((folder / ROWS).read_text()) if (folder / ROWS).exists() else None)
    if kept is None:
        covers = experiment.config.budget.selection is Selection.coverage
        rows = _covering(experiment) if covers else _uncertain(experiment, learner())
        # two graphics cards may not agree about the last bit of a feature
        kept = ranks.on_first(rows.tolist)
        ranks.on_first(lambda: write_json(folder / ROWS, kept))
    return np.asarray(kept, dtype=np.int64)


def _covering(experiment: Experiment) -> NDArray[np.int64]:
    pool = budget_order(experiment.split, experiment.config.seed)
    read = read_features(build_surrogate(experiment), experiment, pool, "surrogate reads the pool")
    features = torch.cat([F.normalize(part, dim=1) for part in read], dim=1)
    chosen: NDArray[np.int64] = pool[spread_out(features, experiment.config.budget.pairs).numpy()]
    return chosen


def _uncertain(experiment: Experiment, network: HashingNetwork) -> NDArray[np.int64]:
    asked = first_round(experiment).queried
    rest = budget_order(experiment.split, experiment.config.seed)[len(asked) :]
    more = experiment.config.budget.pairs - len(asked)
    if not more:
        return asked
    read, description = experiment.pairs.batch, "surrogate looks for doubt"
    images, texts = relax_pairs(network.eval(), read, rest, experiment.device, description)
    return np.concatenate([asked, rest[least_certain(images, texts, more).numpy()]])
