"""Rules between keys of the attacker: `budget`, `mining`, `surrogate`, `attack`, and what is measured of it."""

from collections.abc import Iterator
from math import inf

from aach_lightning.config.attack import AdamStepConfig, TargetCodeObjectiveConfig, TripletObjectiveConfig
from aach_lightning.config.choices import (
    BankName,
    Modalities,
    NormName,
    Quantisation,
    Selection,
    SourceName,
    Supervision,
    TextForm,
)
from aach_lightning.config.rules_data import Rule
from aach_lightning.config.schema import RunConfig
from aach_lightning.config.search import SquareConfig
from aach_lightning.config.surrogate import GapMiningConfig, RankMiningConfig, SemiHardMiningConfig

_SEARCH = "needs attack.source=surrogate or target: a search has no gradients and only changes items a little"


def surrogate_rules(config: RunConfig) -> Iterator[Rule]:
    """Rules of what an attacker asks, and of what learns from the answers."""
    surrogate, budget, mining, bits = config.surrogate, config.budget, config.mining, config.target.code_length
    if isinstance(mining, GapMiningConfig):
        yield mining.gap <= bits, "mining.gap", f"must lie in 1 to target.code_length={bits} bits"
    if isinstance(mining, SemiHardMiningConfig):
        allowed = f"must lie in mining.smallest={mining.smallest} to target.code_length={bits} bits"
        yield mining.smallest <= mining.largest <= bits, "mining.largest", allowed
    if isinstance(mining, RankMiningConfig):
        once = mining.nearest + mining.farthest <= 1
        yield once, "mining.nearest + mining.farthest", "the two shares of the ranking may not overlap"
    learns = surrogate.triplet_weight + surrogate.quantisation_weight > 0
    yield learns, "surrogate.triplet_weight + surrogate.quantisation_weight", "nothing would be learned"
    alone = len(surrogate.members) == 0 and surrogate.seeds == 1
    allowed = "towards their own signs every network ends with other bits, which cannot be averaged: take code"
    yield alone or surrogate.quantisation is Quantisation.code, "surrogate.quantisation", allowed
    aims = isinstance(config.attack.objective, TargetCodeObjectiveConfig)
    drawn = aims and config.attack.target_item is None
    allowed = "a label to aim at is drawn before the pairs are chosen: take random, or attack.target_item"
    yield not drawn or budget.selection is Selection.random, "budget.selection", allowed
    if surrogate.learns_from is Supervision.labels:
        nothing = "surrogate.learns_from=labels asks nothing"
        signs = surrogate.quantisation is Quantisation.sign
        yield signs, "surrogate.quantisation", f"{nothing}, so no code is known: take sign"
        yield budget.selection is Selection.random, "budget.selection", f"{nothing}: leave it at random"
        allowed = "wants codes of the target, which learns_from=labels never asks for"
        yield not config.attack.query_anchor, "attack.query_anchor", allowed
        yield not aims, "attack.objective", allowed


def attack_rules(config: RunConfig) -> Iterator[Rule]:
    """Rules of the method."""
    attack, objective = config.attack, config.attack.objective
    allowed = (
        f"must be a whole number of 1/255 under {attack.norm}: the target is shown 8-bit images, which would break a "
        "fraction"
    )
    whole = attack.norm is NormName.l2 or attack.epsilon % 1 == 0 or attack.epsilon == inf
    yield whole, "attack.epsilon", allowed
    yield from _search_rules(config)
    own = attack.source is SourceName.target or attack.bank is BankName.queried
    known = "a black-box attacker knows the codes it has asked for"
    yield own, "attack.bank", f"must be queried under attack.source={attack.source}: {known}"
    if isinstance(objective, TripletObjectiveConfig):
        once = objective.positives + objective.negatives <= 1
        both = "attack.objective.positives + attack.objective.negatives"
        yield once, both, "the two shares of the ranking may not overlap"
    if _edited(config):
        yield attack.source is not SourceName.queries, "attack.text_form", _SEARCH
        encoder = getattr(config.data, "encoder", None)
        allowed = f"must be continuous where texts are embeddings (data.encoder={encoder}): their entries are no words"
        yield encoder is None, "attack.text_form", allowed
    yield from _aim_rules(config)
    if attack.universal:
        yield from _universal_rules(config)
    trace = config.evaluation.trace
    ascending = all(1 <= count < attack.steps for count in trace) and trace == sorted(set(trace))
    allowed = f"must be ascending numbers of steps, each from 1 to below attack.steps={attack.steps}"
    yield ascending, "evaluation.trace", allowed
    by_steps = attack.source is not SourceName.queries and not attack.universal
    yield by_steps or not trace, "evaluation.trace", f"must be [] under attack={attack.name}"


def _edited(config: RunConfig) -> bool:
    return config.attack.text_form is TextForm.edits and config.attack.modality is not Modalities.image


def _search_rules(config: RunConfig) -> Iterator[Rule]:
    attack, items = config.attack, config.evaluation.queries
    if attack.source is not SourceName.queries:
        allowed = f"must be null under attack.source={attack.source}, which does not search; attack=square does"
        yield attack.search is None, "attack.search", allowed
        yield attack.queries is None, "attack.queries", allowed
        return
    yield attack.search is not None, "attack.search", "must be nes, square or signhunter under attack.source=queries"
    enough = attack.queries is not None and attack.queries >= 2 * items
    allowed = f"must be at least {2 * items}: the own codes of evaluation.queries={items} items and a change of each"
    yield enough, "attack.queries", allowed
    yield not attack.query_anchor, "attack.query_anchor", "must be false: a search asks for these codes anyway"
    yield not attack.knows_defence, "attack.knows_defence", "must be false: a search has no source to put behind it"
    bounded = not isinstance(attack.search, SquareConfig) or attack.norm is not NormName.l2
    yield bounded, "attack.norm", "must not be l2 for Square Attack under l_inf"


def _aim_rules(config: RunConfig) -> Iterator[Rule]:
    """Of targeted attacks."""
    attack, surrogate = config.attack, config.surrogate
    aims = isinstance(attack.objective, TargetCodeObjectiveConfig)
    for name in ("target_label", "target_item"):
        yield aims or getattr(attack, name) is None, f"attack.{name}", "needs attack/objective=target_code"
    one = attack.target_label is None or attack.target_item is None
    yield one, "attack.target_label, attack.target_item", "one of the two must be null"
    if not aims:
        return
    aligned = surrogate.quantisation is Quantisation.code and surrogate.quantisation_weight > 0
    allowed = (
        "must be code and greater than 0 under attack/objective=target_code: the wanted code is one that the target "
        "has answered, so a bit of the surrogate must mean what it means to the target"
    )
    free = attack.source is not SourceName.surrogate or aligned
    yield free, "surrogate.quantisation, surrogate.quantisation_weight", allowed
    yield attack.source is not SourceName.queries, "attack.objective", _SEARCH
    allowed = "must be false under attack/objective=target_code, which does not read the code of the attacked item"
    yield not attack.query_anchor, "attack.query_anchor", allowed


def _universal_rules(config: RunConfig) -> Iterator[Rule]:
    """Of one delta for all queries."""
    attack, gradient, key = config.attack, config.attack.gradient, "attack.universal"
    yield attack.source is not SourceName.queries, key, _SEARCH
    yield isinstance(attack.step, AdamStepConfig), key, "needs attack/step=adam"
    plain = (gradient.scales, gradient.smoothing, gradient.neighbours) == (1, 1, 0)
    yield plain, key, "needs attack.gradient.scales=1, smoothing=1 and neighbours=0"
    yield not attack.query_anchor, key, "needs attack.query_anchor=false: nothing is known of later queries"
    yield not attack.random_start, key, "needs attack.random_start=false"
    yield not _edited(config), key, "needs attack.text_form=continuous, or attack.modality=image"
    named = attack.target_label is not None or attack.target_item is not None
    free = named or not isinstance(attack.objective, TargetCodeObjectiveConfig)
    yield free, key, "needs attack.target_label or attack.target_item: one delta has one target"
