"""Typed configuration of how delta is learned."""

from dataclasses import dataclass, field

from omegaconf import MISSING

from aach_lightning.runtime.choices import Modality, NormName, StepName


@dataclass
class DiversityConfig:
    """Random resize and pad of attacked images."""

    probability: float = MISSING
    smallest: float = MISSING  # share of the side


@dataclass
class AttackConfig:
    """How delta is learned."""

    name: str = MISSING
    modality: Modality = MISSING
    epsilon: float = MISSING  # images, in 1/255
    text_epsilon: float = MISSING  # texts, in units of a text entry
    norm: NormName = MISSING
    step: StepName = MISSING
    steps: int = MISSING
    step_size: float = MISSING  # as a share of epsilon
    momentum: float = MISSING
    random_start: bool = MISSING
    positives: float = MISSING  # share of the M queried items
    negatives: float = MISSING  # share of the M queried items
    margin: float = MISSING  # as a share of K
    quantisation_weight: float = MISSING
    query_anchor: bool = MISSING  # rank by the target's own code of the attacked item: one query each
    diversity: DiversityConfig = field(default_factory=DiversityConfig)
    batch_size: int = MISSING
    knows_defence: bool = False  # the source sees images through target.defence, as the target does
