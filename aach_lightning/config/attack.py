"""How a perturbation is learned; objectives and steps are the choices of `attack/objective` and `attack/step`."""

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

from aach_lightning.config.choices import BankName, Modalities, NormName, SourceName, TextForm, TripletForm
from aach_lightning.config.data import TEXT_EPSILON
from aach_lightning.config.option import NOT_NEGATIVE, POSITIVE, SHARE, SHARE_OR_ZERO, Limits, option
from aach_lightning.config.search import SearchConfig

_OBJECTIVES = "aach_lightning.attacks.objectives"


@dataclass
class ObjectiveConfig:
    """What delta minimises."""

    _target_: str = MISSING


@dataclass
class TripletObjectiveConfig(ObjectiveConfig):
    """AACH: away from what is near, towards what is far."""

    _target_: str = f"{_OBJECTIVES}.triplet.ExchangedTriplet"
    form: TripletForm = option(TripletForm.hinge, "of the triplet loss")
    margin: float = option(1.0, "beta, as a share of K", NOT_NEGATIVE)
    positives: float = option(0.1, "share of the bank that counts as near", SHARE)
    negatives: float = option(0.1, "share of the bank that counts as far", SHARE)
    quantisation_weight: float = option(0.0, "of the distance to binary codes", NOT_NEGATIVE)


@dataclass
class CmlaObjectiveConfig(ObjectiveConfig):
    """CMLA: likelihood of the similarities, inverted across modalities; reads labels."""

    _target_: str = f"{_OBJECTIVES}.cmla.InvertedLikelihood"
    intra_weight: float = option(1.0, "of similarities within the modality", NOT_NEGATIVE)
    distortion_weight: float = option(1.0, "of the size of delta", NOT_NEGATIVE)


@dataclass
class HagObjectiveConfig(ObjectiveConfig):
    """HAG: away from the item's own code."""

    _target_: str = f"{_OBJECTIVES}.hag.UndecidedBits"
    threshold: float = option(1.5, "bits that differ by more are left alone", Limits(above=0, at_most=2))


@dataclass
class SdhaObjectiveConfig(ObjectiveConfig):
    """SDHA: away from relevant codes; reads labels."""

    _target_: str = f"{_OBJECTIVES}.sdha.SmoothedDistance"
    sigma: float = option(5.0, "of the smoothing of distances", POSITIVE)
    distortion_weight: float = option(1.0, "of the size of delta", NOT_NEGATIVE)


@dataclass
class MainstayObjectiveConfig(ObjectiveConfig):
    """SAAT: away from one code that stands for all relevant ones; reads labels."""

    _target_: str = f"{_OBJECTIVES}.mainstay.MainstayCode"


@dataclass
class TargetCodeObjectiveConfig(ObjectiveConfig):
    """DHTA: towards the code that stands for attack.target_label, or that attack.target_item has."""

    _target_: str = f"{_OBJECTIVES}.target_code.TargetCode"


@dataclass
class CustomObjectiveConfig(ObjectiveConfig):
    """Your own class with a method bind(items, bank)."""

    arguments: dict[str, Any] = option(dict, "of the class that _target_ names")


OBJECTIVES = {
    "triplet": TripletObjectiveConfig,
    "cmla": CmlaObjectiveConfig,
    "hag": HagObjectiveConfig,
    "sdha": SdhaObjectiveConfig,
    "mainstay": MainstayObjectiveConfig,
    "target_code": TargetCodeObjectiveConfig,
    "custom": CustomObjectiveConfig,
}


@dataclass
class StepConfig:
    """How a gradient becomes a step."""

    _target_: str = MISSING
    size: float = option(MISSING, "as a share of epsilon", POSITIVE)


@dataclass
class SignStepConfig(StepConfig):
    """Sign of the accumulated gradient."""

    _target_: str = "aach_lightning.perturbations.step.SignMomentum"
    size: float = 0.1
    momentum: float = option(1.0, "of the accumulated gradient", Limits(0, 2.0))
    nesterov: bool = option(False, "takes the gradient where the momentum leads")


@dataclass
class AdamStepConfig(StepConfig):
    """Adam; CMLA's learning rate of .5 on a scale of 0 to 255 is the default share of an epsilon of 8."""

    _target_: str = "aach_lightning.perturbations.step.AdamStep"
    size: float = 0.0625


STEPS = {"sign": SignStepConfig, "adam": AdamStepConfig}


@dataclass
class DiversityConfig:
    """Random resize and pad of attacked images."""

    probability: float = option(0.0, "of each step", SHARE_OR_ZERO)
    smallest: float = option(0.75, "share of the side", SHARE)


@dataclass
class GradientConfig:
    """The gradient at the input itself."""

    slope: float = option(1.0, "of the source's tanh; below 1, bits it is sure of have a gradient too", SHARE)
    diversity: DiversityConfig = option(DiversityConfig, "random resize and pad")
    scales: int = option(1, "copies of the input divided by 1, 2, 4, ...", Limits(1, 8))
    smoothing: int = option(1, "width of a Gaussian kernel over the gradient of images", Limits(1, 255, parity="odd"))
    neighbours: int = option(0, "of variance tuning, 0 for none", NOT_NEGATIVE)
    radius: float = option(1.5, "of the neighbours, as a share of epsilon", NOT_NEGATIVE)


@dataclass
class AttackConfig:
    """The method."""

    name: str = option(MISSING, "what its row of the table is called")
    source: SourceName = option(SourceName.surrogate, "surrogate: black box; target: white box; queries: a search")
    bank: BankName = option(BankName.queried, "whose codes are ranked: the M queried pairs, or all train pairs")
    objective: ObjectiveConfig = option(ObjectiveConfig, "what it minimises")
    step: StepConfig = option(StepConfig, "how it steps")
    gradient: GradientConfig = option(GradientConfig, "how gradients are taken, so that they transfer")
    modality: Modalities = option(Modalities.both, "which half of a query is perturbed")
    epsilon: float = option(8.0, "bound for images, in 1/255", POSITIVE)
    text_epsilon: float = option(TEXT_EPSILON, "bound for texts, in units of a text entry", POSITIVE)
    text_form: TextForm = option(TextForm.continuous, "edits: whole words are added and removed")
    edits: int = option(3, "words that may be added or removed, under text_form=edits", POSITIVE)
    edit_candidates: int = option(20, "words that are tried for each of them", POSITIVE)
    edit_removes: bool = option(True, "words may also be removed")
    universal: bool = option(False, "one delta for all queries; then steps are passes over the queried pairs")
    target_label: str | None = option(None, "under objective=target_code; null: another one for each query, at random")
    target_item: str | None = option(None, "under objective=target_code: the name of a pair")
    norm: NormName = option(NormName.linf, "that bounds delta; one_sided: entries in [0, epsilon]")
    steps: int = option(30, "of each delta", POSITIVE)
    random_start: bool = option(False, "starts anywhere within the bounds")
    query_anchor: bool = option(False, "rank by the target's own code of the attacked item: one query each")
    batch_size: int = option(25, "of attacked items", POSITIVE)
    search: SearchConfig | None = option(None, "of source=queries, in place of bank, objective, step and gradient")
    queries: int | None = option(None, "of source=queries: for all attacked items of a direction together", POSITIVE)
    knows_defence: bool = option(False, "the source sees images through target.defence, as the target does")
