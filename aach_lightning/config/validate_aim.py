"""Rules of edited texts, of targeted attacks and of a universal delta."""

from aach_lightning.config.attack import AdamStepConfig, TargetCodeObjectiveConfig
from aach_lightning.config.choices import Modalities, Quantisation, SourceName, TextForm
from aach_lightning.config.mistakes import Mistakes
from aach_lightning.config.schema import RunConfig

_SEARCH = "needs attack.source=surrogate or target: a search has no gradients and only changes items a little"


def check_edits(config: RunConfig, found: Mistakes) -> None:
    """Note what is wrong with edits of words."""
    attack = config.attack
    found.positive("attack.edits", "attack.edit_candidates")
    if attack.text_form is TextForm.continuous or attack.modality is Modalities.image:
        return
    encoder = getattr(config.data, "encoder", None)
    found.need(attack.source is not SourceName.queries, "attack.text_form", attack.text_form, _SEARCH)
    found.need(
        encoder is None,
        "attack.text_form",
        attack.text_form,
        f"must be continuous where texts are embeddings (data.encoder={encoder}): their entries are no words",
    )


def check_aim(config: RunConfig, found: Mistakes) -> None:
    """Note what is wrong with the target of a targeted attack."""
    attack, surrogate = config.attack, config.surrogate
    targeted = isinstance(attack.objective, TargetCodeObjectiveConfig)
    for key in ("target_label", "target_item"):
        value = getattr(attack, key)
        found.need(targeted or value is None, f"attack.{key}", value, "needs attack/objective=target_code")
    both = f"{attack.target_label}, {attack.target_item}"
    one = attack.target_label is None or attack.target_item is None
    found.need(one, "attack.target_label, attack.target_item", both, "one of the two must be null")
    aligned = surrogate.quantisation is Quantisation.code and surrogate.quantisation_weight > 0
    found.need(
        not targeted or attack.source is not SourceName.surrogate or aligned,
        "surrogate.quantisation, surrogate.quantisation_weight",
        f"{surrogate.quantisation}, {surrogate.quantisation_weight:g}",
        "must be code and greater than 0 under attack/objective=target_code: the wanted code is one that the target "
        "has answered, so a bit of the surrogate must mean what it means to the target",
    )
    if targeted:
        key = "attack.objective"
        found.need(attack.source is not SourceName.queries, key, attack.objective._target_, _SEARCH)
        allowed = "must be false under attack/objective=target_code, which does not read the code of the attacked item"
        found.need(not attack.query_anchor, "attack.query_anchor", True, allowed)


def check_universal(config: RunConfig, found: Mistakes) -> None:
    """Note what is wrong with a universal delta."""
    attack, need = config.attack, found.need
    if not attack.universal:
        return
    key, gradient = "attack.universal", attack.gradient
    need(attack.source is not SourceName.queries, key, True, _SEARCH)
    need(isinstance(attack.step, AdamStepConfig), key, True, "needs attack/step=adam")
    plain = (gradient.scales, gradient.smoothing, gradient.neighbours) == (1, 1, 0)
    need(plain, key, True, "needs attack.gradient.scales=1, smoothing=1 and neighbours=0")
    need(not attack.query_anchor, key, True, "needs attack.query_anchor=false: nothing is known of later queries")
    need(not attack.random_start, key, True, "needs attack.random_start=false")
    edited = attack.text_form is TextForm.edits and attack.modality is not Modalities.image
    need(not edited, key, True, "needs attack.text_form=continuous, or attack.modality=image")
    targeted = isinstance(attack.objective, TargetCodeObjectiveConfig)
    named = attack.target_label is not None or attack.target_item is not None
    need(not targeted or named, key, True, "needs attack.target_label or attack.target_item: one delta has one target")
