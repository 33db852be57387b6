"""The stage of a universal delta: learned once on what the attacker has queried, for queries that it has never seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.attacks.build import attack_space, diversity_of, make_objective
from aach_lightning.attacks.crafting import stage_name
from aach_lightning.attacks.finished import DELTA
from aach_lightning.attacks.items import ItemCodes
from aach_lightning.attacks.source import Source, Task, build_bank, digest_codes, relaxed_codes
from aach_lightning.attacks.universal import KnownItems, UniversalLearner, UniversalModule
from aach_lightning.data.dataset import PairDataset, ShuffledPairs
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.runtime import ranks
from aach_lightning.runtime.batches import map_batches
from aach_lightning.runtime.checkpoints import load_tensors, save_tensors
from aach_lightning.runtime.loggers import stage_logger
from aach_lightning.runtime.store import CHECKPOINTS
from aach_lightning.runtime.trainer import ReseedEachEpoch, checkpoint_callbacks, fit, make_trainer


def ensure_added_deltas(
    experiment: Experiment,
    source: Source,
    modality: Modality,
    codes: ItemCodes,
    speed: dict[str, float] | None = None,
) -> Tensor:
    """What one delta for all inputs changes in each attacked one: float32, N x ...

    Takes the arguments of `ensure_deltas`; a universal delta reads no anchors and reports no speed.
    """
    goal = None if codes.goals is None else codes.goals[0]
    return added_to_each(ensure_universal_delta(experiment, source, modality, goal), experiment, modality)


def ensure_universal_delta(
    experiment: Experiment, source: Source, modality: Modality, goal: Tensor | None = None
) -> Tensor:
    """Find or learn the delta that is added to every input of a modality: float32, 1 x the shape of an input.

    It is learned on the items that the attacker knows, `attack.steps` times over all of them.

    Args:
        experiment: Says how.
        source: Whose gradients are followed, and which items are known.
        modality: Which half is attacked.
        goal: int8, K, the code that a targeted attack wants every input to have, or None.
    """
    config, attack = experiment.config, experiment.config.attack
    depends_on = {**source.depends_on(experiment, modality), "goal": digest_codes(goal)}
    stage = stage_name(source, modality)

    def build(folder: Path) -> None:
        space = attack_space(experiment, modality)
        objective, network = make_objective(attack), source.in_precision(experiment)
        bank = build_bank(experiment, source, modality, objective)
        (relaxed,) = relaxed_codes(network, experiment, source.rows, modality)
        task = Task(network, bank, objective, modality)
        learner = UniversalLearner(
            space, attack.step.size * space.epsilon, attack.steps, diversity_of(config, modality)
        )
        start = torch.zeros_like(modality.of(experiment.pairs.batch(source.rows[:1])))
        module = UniversalModule(task, learner, KnownItems(source.rows, relaxed), start, goal, stage)
        data = ShuffledPairs(PairDataset(experiment.pairs, source.rows, shared=True), attack.batch_size, config.seed)
        checkpoints = folder / CHECKPOINTS
        with stage_logger(stage) as curves:
            callbacks = [*checkpoint_callbacks(checkpoints, monitor=None), ReseedEachEpoch(config.seed)]
            # whatever the precision of the network: delta, its bounds and the objective are float32
            hardware = replace(config.trainer, precision="32-true")
            description = f"one delta for all {modality}s, {source.name.replace('_', ' ')}"
            trainer = make_trainer(hardware, folder, description, attack.steps, callbacks, curves)
            fit(trainer, module, data, checkpoints)
        if ranks.is_first():
            save_tensors(folder / DELTA, {"delta": module.delta})

    return load_tensors(experiment.store.get_or_build("universal", depends_on, build).path / DELTA)["delta"]


def added_to_each(delta: Tensor, experiment: Experiment, modality: Modality) -> Tensor:
    """What a delta changes in each attacked input, whose entries stay in their range: float32, N x ..."""
    space = attack_space(experiment, modality)

    def compute(some: NDArray[np.int64]) -> tuple[Tensor, ...]:
        return (space.project(modality.of(experiment.pairs.batch(some)), delta),)

    return map_batches(compute, experiment.attacked)[0]
