"""The attackers of a run, each with one interface: it crafts deltas, and says what it needed and spent."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.attacks.build import edits_words, make_objective
from aach_lightning.attacks.crafting import ensure_deltas
from aach_lightning.attacks.items import ItemCodes
from aach_lightning.attacks.search.crafting import ensure_searched
from aach_lightning.attacks.source import AttackName, Source, build_bank
from aach_lightning.attacks.universal_stage import ensure_added_deltas
from aach_lightning.config.choices import AnswerName, BankName, SourceName, Supervision
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.evaluation.result import Needs, Query
from aach_lightning.evaluation.targeted import Aim, aims_at_label
from aach_lightning.networks.build import with_known_defence
from aach_lightning.networks.ensemble import soften
from aach_lightning.runtime import ranks
from aach_lightning.runtime.store import Artifact
from aach_lightning.surrogates.training import ensure_surrogate, load_answers, load_surrogate
from aach_lightning.targets.blackbox import BlackBox
from aach_lightning.targets.deployment import deployment_of, load_target

REVEALED: dict[AnswerName, Needs] = {
    AnswerName.codes: "codes",
    AnswerName.ranks: "ranks",
    AnswerName.topk: "top k",
}


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
    labels: bool = False
    pairs_queried: int = 0
    items_queried: int = 0


class Attacker(Protocol):
    """One row of the table, before it attacks."""

    @property
    def query(self) -> Query:
        """Name of the row."""
        ...

    def craft(self, experiment: Experiment, modality: Modality) -> Crafted:
        """Attack one half of the attacked items; timed as a stage of the experiment."""
        ...

    def takes_steps(self, experiment: Experiment, modality: Modality) -> bool:
        """Whether it could be stopped after fewer of `attack.steps`."""
        ...


@dataclass(frozen=True)
class GradientAttacker:
    """Follows the gradients of a network: the target's own, a surrogate, one trained on public pairs, an ensemble.

    Attributes:
        source: The network, and what is known beside it.
        needs: What the attacker has of the target.
        labels: Whether it is told labels.
        pairs: Pairs that it has paid for.
        door: The metered door, for codes of attacked items where the configuration asks for them.
        aim: What a targeted attack wants its queries to find; else None.
    """

    source: Source
    needs: Needs
    labels: bool
    pairs: int
    door: BlackBox
    aim: Aim | None

    @property
    def query(self) -> Query:
        """Name of the row."""
        return self.source.name

    def craft(self, experiment: Experiment, modality: Modality) -> Crafted:
        """Learn deltas; see `Attacker`."""
        attack, rows = experiment.config.attack, experiment.attacked
        anchors = goals = None
        paid = 0
        if attack.query_anchor:
            anchors = self._codes_of(experiment, rows, modality)
            paid += 0 if self.needs == "weights" else len(rows)  # with the weights there is no need to ask
        with experiment.watch.stage(f"{self.query} {modality}") as speed:
            if self.aim is not None:
                goals, asked = self._goals(experiment, self.aim, modality)
                paid += asked
            learn = ensure_added_deltas if attack.universal else ensure_deltas
            delta = learn(experiment, self.source, modality, ItemCodes(anchors, goals), speed)
        return Crafted(delta, self.needs, self.labels, self.pairs, paid)

    def takes_steps(self, experiment: Experiment, modality: Modality) -> bool:
        """All but edits of words do."""
        return not edits_words(experiment.config.attack, modality)

    def _goals(self, experiment: Experiment, aim: Aim, modality: Modality) -> tuple[Tensor, int]:
        """The code that each query is pulled to, and how many single items were asked for it.

        An attacker with the weights hashes what it knows; a black-box one has the target's answers, and asks for the
        code of a wanted item that is none of its pairs.
        """
        source, objective = self.source, make_objective(experiment.config.attack)
        wanted, asked = source.rows if aim.item is None else np.array([aim.item]), 0
        if source.answers is None:
            known = build_bank(experiment, replace(source, rows=wanted), modality, objective).ranking
        elif aim.item is None or aim.item in source.rows:
            known = modality.other.codes(source.answers)[torch.from_numpy(np.isin(source.rows, wanted))]
        else:
            known, asked = self._codes_of(experiment, wanted, modality.other), 1
        return aim.codes(known, torch.from_numpy(experiment.pairs.labels[wanted]), experiment.config.seed), asked

    def _codes_of(self, experiment: Experiment, rows: NDArray[np.int64], modality: Modality) -> Tensor:
        """The target's codes of some items, asked for by the first process."""
        ask = partial(modality.asked_of(self.door), modality.of(experiment.pairs.batch(rows)))
        return ranks.on_first(ask)


@dataclass(frozen=True)
class SearchAttacker:
    """Asks for the codes of changed items and keeps what moved them farthest.

    Attributes:
        door: The metered door.
        key: Artifact key of what is behind it.
    """

    door: BlackBox
    key: str
    query: Query = "attack"

    def craft(self, experiment: Experiment, modality: Modality) -> Crafted:
        """Search for deltas; see `Attacker`."""
        with experiment.watch.stage(f"{self.query} {modality}"):
            found = ensure_searched(experiment, modality.asked_of(self.door), self.key, modality)
        return Crafted(found.delta, "codes", items_queried=int(found.queries.sum()))

    def takes_steps(self, experiment: Experiment, modality: Modality) -> bool:
        """It takes queries."""
        return False


def needed_surrogate(experiment: Experiment, target: Artifact, door: BlackBox) -> Artifact | None:
    """The surrogate whose gradients the configured attack follows, found or trained; None where it needs none."""
    if experiment.config.attack.source is not SourceName.surrogate:
        return None
    with experiment.watch.stage("surrogate"):
        return ensure_surrogate(experiment, target, door)


def find_attackers(
    experiment: Experiment, target: Artifact, door: BlackBox, surrogate: Artifact | None, aim: Aim | None
) -> list[Attacker]:
    """The attack that the configuration describes, and its white-box reference where one is wanted.

    Args:
        experiment: What is configured, and what the target was trained on.
        target: Trained.
        door: The metered door to it.
        surrogate: Of `needed_surrogate`.
        aim: What a targeted attack wants its queries to find; else None.
    """
    config, attack = experiment.config, experiment.config.attack
    if attack.source is SourceName.queries:
        return [SearchAttacker(door, target.key)]
    labels = make_objective(attack).needs_labels or aims_at_label(attack)
    answers = None if surrogate is None else load_answers(surrogate)
    asked = experiment.queried if answers is None else answers.rows

    def white_box(query: AttackName) -> Attacker:
        known = experiment.split.train if attack.bank is BankName.train else asked
        network, key = load_target(experiment, target), target.key
        if query == "attack":
            network = soften(network, attack.gradient.slope)
        elif attack.gradient.slope != 1:
            # a bound: the target's own slope is what does the most damage with the target's own weights
            key = f"{key} with its own slope"
        source = Source(query, with_known_defence(config, network), key, known)
        return GradientAttacker(source, "weights", labels, 0, door, aim)

    if surrogate is None or answers is None:
        return [white_box("attack")]
    network = with_known_defence(config, soften(load_surrogate(experiment, surrogate), attack.gradient.slope))
    public = config.surrogate.learns_from is Supervision.labels  # of public pairs; the target was not asked
    source = Source("attack", network, surrogate.key, answers.rows, None if public else answers)
    needs: Needs = "nothing" if public else REVEALED[config.answer.name]
    black_box = GradientAttacker(source, needs, public or labels, answers.spent, door, aim)
    bound = config.evaluation.white_box and deployment_of(experiment).has_gradients()
    return [black_box, white_box("white_box")] if bound else [black_box]
