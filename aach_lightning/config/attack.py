"""Typed configuration of how delta is learned."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from aach_lightning.config.choices import BankName, Modalities, NormName, SourceName, TextForm, TripletForm
from aach_lightning.config.search import SearchConfig

_OBJECTIVES = "aach_lightning.attacks.objectives"


@dataclass
class ObjectiveConfig:
    """What delta minimises."""

    _target_: str = MISSING


@dataclass
class TripletObjectiveConfig(ObjectiveConfig):
    """AACH: the exchanged triplet."""

    _target_: str = f"{_OBJECTIVES}.triplet.ExchangedTriplet"
    form: TripletForm = MISSING
    margin: float = MISSING  # beta, as a share of K
    positives: float = MISSING  # share of the bank
    negatives: float = MISSING  # share of the bank
    quantisation_weight: float = MISSING


@dataclass
class CmlaObjectiveConfig(ObjectiveConfig):
    """CMLA: inverted likelihood of similarities."""

    _target_: str = f"{_OBJECTIVES}.cmla.InvertedLikelihood"
    intra_weight: float = MISSING
    distortion_weight: float = MISSING


@dataclass
class HagObjectiveConfig(ObjectiveConfig):
    """HAG: away from the item's own code."""

    _target_: str = f"{_OBJECTIVES}.hag.UndecidedBits"
    threshold: float = MISSING


@dataclass
class SdhaObjectiveConfig(ObjectiveConfig):
    """SDHA: away from relevant codes."""

    _target_: str = f"{_OBJECTIVES}.sdha.SmoothedDistance"
    sigma: float = MISSING
    distortion_weight: float = MISSING


@dataclass
class MainstayObjectiveConfig(ObjectiveConfig):
    """SAAT: away from the mainstay code."""

    _target_: str = f"{_OBJECTIVES}.mainstay.MainstayCode"


@dataclass
class TargetCodeObjectiveConfig(ObjectiveConfig):
    """DHTA: towards the code of attack.target_label or attack.target_item."""

    _target_: str = f"{_OBJECTIVES}.target_code.TargetCode"


@dataclass
class CustomObjectiveConfig(ObjectiveConfig):
    """One of your own."""

    arguments: dict[str, Any] = field(default_factory=dict)  # of the class that _target_ names


OBJECTIVE_SCHEMAS: dict[str, type[ObjectiveConfig]] = {
    "triplet_schema": TripletObjectiveConfig,
    "cmla_schema": CmlaObjectiveConfig,
    "hag_schema": HagObjectiveConfig,
    "sdha_schema": SdhaObjectiveConfig,
    "mainstay_schema": MainstayObjectiveConfig,
    "target_code_schema": TargetCodeObjectiveConfig,
    "custom_schema": CustomObjectiveConfig,
}


@dataclass
class StepConfig:
    """How a gradient becomes a step."""

    _target_: str = MISSING
    size: float = MISSING  # as a share of epsilon


@dataclass
class SignStepConfig(StepConfig):
    """Sign of accumulated gradients."""

    _target_: str = "aach_lightning.perturbations.step.SignMomentum"
    momentum: float = MISSING
    nesterov: bool = MISSING


@dataclass
class AdamStepConfig(StepConfig):
    """Adam."""

    _target_: str = "aach_lightning.perturbations.step.AdamStep"


STEP_SCHEMAS: dict[str, type[StepConfig]] = {"sign_schema": SignStepConfig, "adam_schema": AdamStepConfig}


@dataclass
class DiversityConfig:
    """Random resize and pad of attacked images."""

    probability: float = MISSING
    smallest: float = MISSING  # share of the side


@dataclass
class GradientConfig:
    """How gradients are taken, so that they transfer."""

    slope: float = MISSING  # of the source's tanh; below 1, bits it is sure of have a gradient too
    diversity: DiversityConfig = field(default_factory=DiversityConfig)
    scales: int = MISSING  # copies of the input divided by 1, 2, 4, ...
    smoothing: int = MISSING  # odd width of a Gaussian kernel over the gradient of images, 1 for none
    neighbours: int = MISSING  # of variance tuning, 0 for none
    radius: float = MISSING  # of the neighbours, as a share of epsilon


@dataclass
class AttackConfig:
    """How delta is learned."""

    name: str = MISSING
    source: SourceName = MISSING  # surrogate: black box; target: white box; queries: black box, by a search
    bank: BankName = MISSING
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    step: StepConfig = field(default_factory=StepConfig)
    gradient: GradientConfig = field(default_factory=GradientConfig)
    modality: Modalities = MISSING
    epsilon: float = MISSING  # images, in 1/255
    text_epsilon: float = MISSING  # texts, in units of a text entry
    text_form: TextForm = MISSING
    edits: int = MISSING  # words that may be added or removed, under text_form=edits
    edit_candidates: int = MISSING  # words that are tried for each of them
    edit_removes: bool = MISSING  # words may also be removed
    universal: bool = MISSING  # one delta for all queries, learned on the queried pairs
    target_label: str | None = MISSING  # under objective=target_code; null: another one for each query, at random
    target_item: str | None = MISSING  # under objective=target_code: the name of a pair
    norm: NormName = MISSING
    steps: int = MISSING
    random_start: bool = MISSING
    query_anchor: bool = MISSING  # rank by the target's own code of the attacked item: one query each
    batch_size: int = MISSING
    search: SearchConfig | None = None  # of source=queries, in place of bank, objective, step and gradient
    queries: int | None = None  # of source=queries: what it may spend on all attacked items of a direction together
    knows_defence: bool = False  # the source sees images through target.defence, as the target does
