"""The parts of an attack, from the configuration."""

import inspect
from dataclasses import asdict
from typing import cast

from aach_lightning.attacks.objectives.objective import Objective
from aach_lightning.config.attack import OBJECTIVES, AttackConfig
from aach_lightning.config.choices import TextForm
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.perturbations.descent import Descent, Learner
from aach_lightning.perturbations.diversity import InputDiversity
from aach_lightning.perturbations.edits import WordEdits
from aach_lightning.perturbations.gradient import GradientRule
from aach_lightning.perturbations.space import Space
from aach_lightning.perturbations.step import Step
from aach_lightning.runtime.instantiate import instantiate, with_arguments


def attack_space(experiment: Experiment, modality: Modality) -> Space:
    """Bounds of delta for one modality, in units of the input."""
    attack = experiment.config.attack
    return Space.of(modality, experiment.pairs, attack.epsilon, attack.text_epsilon, attack.norm.value)


def edits_words(config: AttackConfig, modality: Modality) -> bool:
    """Whether this modality is attacked word by word."""
    return modality is Modality.text and config.text_form is TextForm.edits


def make_objective(config: AttackConfig) -> Objective:
    """The objective that the configuration names."""
    return cast(Objective, instantiate(with_arguments(config.objective)))


def list_objectives() -> dict[str, str]:
    """The choices of `attack/objective=`, each with one line about it.

    Example:
        >>> list_objectives()["hag"]
        "HAG: away from the item's own code."
    """
    return {name: (inspect.getdoc(kind) or "").splitlines()[0] for name, kind in OBJECTIVES.items()}


def make_learner(experiment: Experiment, modality: Modality) -> Learner:
    """How a delta for each item of one modality is learned."""
    config, attack = experiment.config, experiment.config.attack
    if edits_words(attack, modality):
        return WordEdits(attack.edits, attack.edit_candidates, attack.edit_removes)
    space, gradient = attack_space(experiment, modality), attack.gradient

    def new_step() -> Step:
        return cast(Step, instantiate(asdict(attack.step), unit=space.epsilon))

    rule = GradientRule(
        diversity_of(config, modality),
        gradient.scales,
        gradient.smoothing if modality is Modality.image else 1,
        gradient.neighbours,
        gradient.radius * space.epsilon,
        config.seed,
    )
    return Descent(space, new_step, rule, attack.steps, attack.random_start, config.seed)


def diversity_of(config: RunConfig, modality: Modality) -> InputDiversity | None:
    """Random resize and pad, where the configuration wants it; of images only."""
    diversity = config.attack.gradient.diversity
    if modality is Modality.text or diversity.probability == 0:
        return None
    return InputDiversity(diversity.probability, diversity.smallest, config.seed)
