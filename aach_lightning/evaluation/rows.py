"""All rows of one direction: clean, noise, attack and the white-box bound."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from aach_lightning.attacks.build import edits_words
from aach_lightning.data.modality import Modality
from aach_lightning.evaluation.attackers import Crafted
from aach_lightning.evaluation.noise import change_bound, noise_delta, noise_edits
from aach_lightning.evaluation.protocol import Delta, Evaluation, Measurement, Searched, given_delta
from aach_lightning.evaluation.result import Query, Row
from aach_lightning.evaluation.targeted import Aim, targeted_chance, targeted_map
from aach_lightning.evaluation.words import mean_changed_words
from aach_lightning.retrieval.metrics import chance_level

NO_ATTACKER = Crafted(torch.empty(0), "nothing")  # behind the clean queries and the noise


@dataclass(frozen=True)
class DirectionOutcome:
    """What was measured in one direction.

    Attributes:
        rows: One for each kind of query.
        measurements: The answers behind them.
        searched: The database that was searched.
        chance: MAP of a constant code.
        targeted_chance: Its targeted MAP; None where no target is set.
    """

    rows: tuple[Row, ...]
    measurements: dict[Query, Measurement]
    searched: Searched
    chance: float
    targeted_chance: float | None = None


def measure_direction(
    evaluation: Evaluation, modality: Modality, crafted: Mapping[Query, Crafted], aim: Aim | None = None
) -> DirectionOutcome:
    """Measure one direction.

    Args:
        evaluation: Measures.
        modality: Which half is attacked.
        crafted: What each attacker has made of the attacked items.
        aim: What a targeted attack wants its queries to find; else None.
    """
    experiment, searched = evaluation.experiment, evaluation.searched(modality)
    rows, pairs = experiment.attacked, experiment.pairs
    deltas: dict[Query, Tensor] = {query: made.delta for query, made in crafted.items()}
    words: dict[Query, float] = {}
    if edits_words(experiment.config.attack, modality):
        deltas = {"noise": noise_edits(experiment), **deltas}
        words = {query: mean_changed_words(pairs, rows, delta) for query, delta in deltas.items()}
    clean = evaluation.clean(modality)
    measurements: dict[Query, Measurement] = {"clean": clean}
    changes: dict[Query, Delta] = {
        "noise": noise_delta(experiment, modality),
        **{query: given_delta(deltas[query]) for query in deltas},
    }
    for query, delta in changes.items():
        measurements[query] = evaluation.measure(modality, delta)
    labels = torch.from_numpy(pairs.labels[rows])
    reference = clean.map - measurements["white_box"].map if "white_box" in measurements else 0.0
    table = []
    for query, found in measurements.items():
        drop, made = clean.map - found.map, crafted.get(query, NO_ATTACKER)
        table.append(
            Row(
                direction=modality.direction,
                query=query,
                map=found.map,
                drop=drop,
                share_of_white_box=drop / reference if reference > 0 and query != "clean" else None,
                distance=float((clean.codes != found.codes).sum(dim=1).double().mean()),
                epsilon=0.0 if query == "clean" else change_bound(experiment, modality),
                **asdict(found.perceptibility),
                pairs_queried=made.pairs_queried,
                items_queried=made.items_queried,
                needs=made.needs,
                labels=made.labels,
                words=words.get(query),
                targeted_map=None if aim is None else targeted_map(found.codes, labels, aim.wanted, searched),
            )
        )
    chance = chance_level(labels, searched.labels)
    targeted = None if aim is None else targeted_chance(labels, aim.wanted, searched)
    return DirectionOutcome(tuple(table), measurements, searched, chance, targeted)
