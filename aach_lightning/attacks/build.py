"""The parts of an attack, from the configuration."""

from dataclasses import asdict
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.attacks.edit_module import EditModule
from aach_lightning.attacks.items import Bank
from aach_lightning.attacks.module import AttackModule
from aach_lightning.attacks.objectives.objective import Objective
from aach_lightning.config.attack import AttackConfig
from aach_lightning.config.choices import LoggerName, TextForm
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.bfloat16 import BFloat16Network
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.perturbations.diversity import InputDiversity
from aach_lightning.perturbations.gradient import GradientRule
from aach_lightning.perturbations.space import Space
from aach_lightning.perturbations.step import Step
from aach_lightning.runtime.batches import map_batches
from aach_lightning.runtime.instantiate import instantiate, with_arguments


def attack_space(config: AttackConfig, pairs: Pairs, modality: Modality) -> Space:
    """Bounds of delta for one modality, in units of the input."""
    if modality == "image":
        return Space(config.epsilon / 255, config.norm.value, 0.0, 1.0)
    return Space(config.text_epsilon, config.norm.value, pairs.text_low, pairs.text_high)


def make_objective(config: AttackConfig) -> Objective:
    """The objective that the configuration names."""
    return cast(Objective, instantiate(with_arguments(config.objective)))


def build_bank(
    source: HashingNetwork,
    pairs: Pairs,
    rows: NDArray[np.int64],
    modality: Modality,
    objective: Objective,
    answers: Tensor | None,
    device: torch.device,
) -> Bank:
    """Hash the items that the attacker knows.

    Args:
        source: Gives the relaxed codes.
        pairs: The data set.
        rows: int64, M rows.
        modality: The attacked modality.
        objective: Says whether codes of that modality and labels are needed too.
        answers: M x K, the target's codes of the other modality where they shall decide the ranking; else the source's.
        device: Where to compute.
    """
    source = source.to(device)
    wanted = [modality.other, modality] if objective.needs_own else [modality.other]

    def compute(some: NDArray[np.int64]) -> tuple[Tensor, ...]:
        batch = pairs.batch(some).to(device)
        return tuple(half.hashed_by(source)(half.of(batch)) for half in wanted)

    relaxed = map_batches(compute, rows)
    return Bank(
        relaxed[0],
        binary_codes(relaxed[0]) if answers is None else answers,
        relaxed[1] if objective.needs_own else None,
        torch.from_numpy(pairs.labels[rows]) if objective.needs_labels else None,
    )


def build_module(
    config: RunConfig, source: HashingNetwork, bank: Bank, objective: Objective, pairs: Pairs, modality: Modality
) -> AttackModule | EditModule:
    """The module that learns deltas of one modality against `source`."""
    attack, source = config.attack, source_in_precision(config, source)
    if modality == "text" and attack.text_form is TextForm.edits:
        return EditModule(source, bank, objective, attack.edits, attack.edit_candidates, attack.edit_removes)
    space = attack_space(attack, pairs, modality)

    def new_step() -> Step:
        return cast(Step, instantiate(asdict(attack.step), unit=space.epsilon))

    return AttackModule(
        source,
        bank,
        objective,
        modality,
        space,
        new_step,
        _gradients(config, space, modality),
        attack.steps,
        attack.random_start,
        config.seed,
        record=config.logger.name is not LoggerName.none,
    )


def source_in_precision(config: RunConfig, source: HashingNetwork) -> HashingNetwork:
    """The source as it computes gradients: itself, or a copy in bfloat16."""
    return BFloat16Network(source) if config.trainer.precision.startswith("bf16") else source


def diversity_of(config: RunConfig, modality: Modality) -> InputDiversity | None:
    """Random resize and pad, where the configuration wants it; of images only."""
    diversity = config.attack.gradient.diversity
    if modality == "text" or diversity.probability == 0:
        return None
    return InputDiversity(diversity.probability, diversity.smallest, config.seed)


def _gradients(config: RunConfig, space: Space, modality: Modality) -> GradientRule:
    gradient, images = config.attack.gradient, modality == "image"
    return GradientRule(
        diversity_of(config, modality),
        gradient.scales,
        gradient.smoothing if images else 1,
        gradient.neighbours,
        gradient.radius * space.epsilon,
        config.seed,
    )
