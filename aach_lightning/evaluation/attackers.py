"""Who attacks: the networks that give gradients, what is known beside them, and what was paid for it."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.attacks.build import build_bank, make_objective
from aach_lightning.attacks.crafting import ensure_deltas
from aach_lightning.attacks.universal_stage import added_to_each, ensure_universal_delta
from aach_lightning.config.choices import AnswerName, BankName, SourceName, Supervision
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.evaluation.result import Needs, Query
from aach_lightning.evaluation.targeted import Aim, aims_at_label
from aach_lightning.networks.build import with_known_defence
from aach_lightning.networks.ensemble import soften
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.runtime import ranks
from aach_lightning.runtime.stopwatch import Stopwatch
from aach_lightning.runtime.store import Artifact, ArtifactStore
from aach_lightning.runtime.trainer import compute_device
from aach_lightning.surrogates.training import Answers, load_answers, load_surrogate
from aach_lightning.targets.blackbox import BlackBox
from aach_lightning.targets.deployment import load_target

REVEALED: dict[AnswerName, Needs] = {
    AnswerName.codes: "codes",
    AnswerName.ranks: "ranks",
    AnswerName.topk: "top k",
}


@dataclass(frozen=True)
class Attacker:
    """One row of the table, before it attacks.

    Attributes:
        query: Name of the row.
        source: Gives the gradients.
        key: Artifact key of the source's weights, with what else tells it from another source of an equal attack.
        needs: What the attacker has of the target.
        labels: Whether it is told labels.
        known: int64, M rows of the data set whose codes it ranks.
        answers: The target's codes of these, where it has asked for them; estimated ones where it got ranked lists.
        pairs: Pairs that it has paid for.
    """

    query: Query
    source: HashingNetwork
    key: str
    needs: Needs
    labels: bool
    known: NDArray[np.int64]
    answers: Answers | None
    pairs: int


@dataclass(frozen=True)
class Crafted:
    """What an attacker has made of the attacked items.

    Attributes:
        delta: float32, Q x the shape of the attacked inputs.
        needs: What the attacker has of the target.
        labels: Whether it is told labels.
        pairs_queried: Pairs that it has paid for.
        items_queried: Codes of attacked items that it has paid for.
    """

    delta: Tensor
    needs: Needs
    labels: bool
    pairs_queried: int
    items_queried: int


def find_attackers(experiment: Experiment, target: Artifact, surrogate: Artifact | None) -> list[Attacker]:
    """The attack that the configuration describes, and its white-box reference where one is wanted.

    Args:
        experiment: What is configured, and what the target was trained on.
        target: Trained.
        surrogate: Trained; None where the attack follows the target's own gradients.
    """
    config = experiment.config
    labels = make_objective(config.attack).needs_labels or aims_at_label(config.attack)
    slope = config.attack.gradient.slope
    answers = None if surrogate is None else load_answers(surrogate)
    asked = experiment.queried if answers is None else answers.rows

    def white_box(query: Query) -> Attacker:
        known = experiment.split.train if config.attack.bank is BankName.train else asked
        network, key = load_target(experiment, target), target.key
        if query == "attack":
            network = soften(network, slope)
        elif slope != 1:
            # a bound: the target's own slope is what does the most damage with the target's own weights
            key = f"{key} with its own slope"
        return Attacker(query, with_known_defence(config, network), key, "weights", labels, known, None, 0)

    if config.attack.source is SourceName.target or surrogate is None or answers is None:
        return [white_box("attack")]
    network = with_known_defence(config, soften(load_surrogate(experiment, surrogate), slope))
    if config.surrogate.learns_from is Supervision.labels:  # of public pairs; the target was not asked
        black_box = Attacker("attack", network, surrogate.key, "nothing", True, answers.rows, None, answers.spent)
    else:
        needs = REVEALED[config.answer.name]
        black_box = Attacker("attack", network, surrogate.key, needs, labels, answers.rows, answers, answers.spent)
    return [black_box, white_box("white_box")] if config.evaluation.white_box else [black_box]


def craft(
    config: RunConfig,
    attackers: list[Attacker],
    door: BlackBox,
    pairs: Pairs,
    rows: NDArray[np.int64],
    modality: Modality,
    store: ArtifactStore,
    watch: Stopwatch,
    aim: Aim | None = None,
) -> dict[Query, Crafted]:
    """Let each attacker attack one half of the items.

    Args:
        config: The whole configuration.
        attackers: Who attacks.
        door: The metered door, for the codes of attacked items where the configuration asks for them.
        pairs: The data set.
        rows: int64, Q attacked rows.
        modality: Which half is attacked.
        store: Where deltas lie.
        watch: Measures each attacker.
        aim: What a targeted attack wants its queries to find.
    """
    anchors = None
    if config.attack.query_anchor:
        anchors = ranks.on_first(partial(_query_codes, door, pairs, rows, modality))
    crafted: dict[Query, Crafted] = {}
    for attacker in attackers:
        answers = None
        if anchors is not None and attacker.answers is not None:
            answers = modality.other.codes(attacker.answers)
        paid = 0 if anchors is None or attacker.needs == "weights" else len(anchors)
        with watch.stage(f"{attacker.query} {modality}") as speed:
            goals = None
            if aim is not None:
                goals, asked = _wanted_codes(config, attacker, aim, door, pairs, modality)
                paid += asked
            if config.attack.universal:
                goal = None if goals is None else goals[0]
                one = ensure_universal_delta(
                    config,
                    attacker.query,
                    attacker.source,
                    attacker.key,
                    attacker.known,
                    answers,
                    goal,
                    pairs,
                    modality,
                    store,
                )
                delta = added_to_each(one, config, pairs, rows, modality)
            else:
                delta = ensure_deltas(
                    config,
                    attacker.query,
                    attacker.source,
                    attacker.key,
                    attacker.known,
                    answers,
                    pairs,
                    rows,
                    anchors,
                    modality,
                    store,
                    speed,
                    goals,
                )
        crafted[attacker.query] = Crafted(delta, attacker.needs, attacker.labels, attacker.pairs, paid)
    return crafted


def _wanted_codes(
    config: RunConfig, attacker: Attacker, aim: Aim, door: BlackBox, pairs: Pairs, modality: Modality
) -> tuple[Tensor, int]:
    """The code that each query is pulled to, and how many single items were asked for it.

    Whoever has the weights hashes what it knows; a black-box attacker has the target's answers, and asks for the code
    of a wanted item that is none of its pairs.
    """
    objective, device = make_objective(config.attack), compute_device(config.trainer)
    wanted = attacker.known if aim.item is None else np.array([aim.item])
    asked = 0
    if attacker.answers is None:
        known = build_bank(attacker.source, pairs, wanted, modality, objective, None, device).ranking
    elif aim.item is None or aim.item in attacker.known:
        answers = modality.other.codes(attacker.answers)
        known = answers if aim.item is None else answers[torch.from_numpy(attacker.known == aim.item)]
    else:
        known, asked = ranks.on_first(partial(_query_codes, door, pairs, wanted, modality.other)), 1
    return aim.codes(known, torch.from_numpy(pairs.labels[wanted]), config.seed), asked


def _query_codes(door: BlackBox, pairs: Pairs, rows: NDArray[np.int64], modality: Modality) -> Tensor:
    return modality.asked_of(door)(modality.of(pairs.batch(rows)))
