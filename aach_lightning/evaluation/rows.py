"""All rows of one direction: clean, noise, attack and the white-box bound."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split
from aach_lightning.evaluation.attackers import Crafted
from aach_lightning.evaluation.perceptibility import Perceptibility
from aach_lightning.evaluation.protocol import (
    Measurement,
    Searched,
    code_distance,
    given_delta,
    measure,
    noise_delta,
    search,
)
from aach_lightning.evaluation.result import Query, Row
from aach_lightning.evaluation.targeted import targeted_chance, targeted_map
from aach_lightning.evaluation.words import RandomEdits
from aach_lightning.perturbations.space import Space
from aach_lightning.retrieval.chance import chance_level
from aach_lightning.targets.blackbox import EvaluationDoor
from aach_lightning.targets.index import CodeIndex


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


def searched_database(index: CodeIndex, pairs: Pairs, split: Split, modality: Modality) -> Searched:
    """The target's codes of the database, of the modality that is not attacked."""
    codes = index.text_codes if modality == "image" else index.image_codes
    return Searched(codes[split.database], torch.from_numpy(pairs.labels[split.database]))


def measure_direction(
    door: EvaluationDoor,
    index: CodeIndex,
    pairs: Pairs,
    split: Split,
    rows: NDArray[np.int64],
    modality: Modality,
    space: Space,
    crafted: dict[Query, Crafted],
    seed: int,
    edits: RandomEdits | None = None,
    wanted: Tensor | None = None,
) -> DirectionOutcome:
    """Measure one direction.

    Args:
        door: Evaluation's own way to the target.
        index: The target's codes of the whole data set.
        pairs: The data set.
        split: Which rows are searched.
        rows: int64, Q attacked rows.
        modality: Which half is attacked.
        space: Bounds of the perturbation.
        crafted: What each attacker has made of these items.
        seed: Seeds the noise.
        edits: Where texts are edited word by word: the noise of this kind, in the place of random signs.
        wanted: uint8 in {0, 1}, Q x C, labels that a targeted attack wants each query to find; else None.
    """
    searched = searched_database(index, pairs, split, modality)
    codes = (index.image_codes if modality == "image" else index.text_codes)[rows]
    unchanged = Perceptibility(0.0, 0.0, None, None)
    measurements: dict[Query, Measurement] = {
        "clean": Measurement(codes, search(codes, pairs, rows, searched), unchanged),
    }
    noise = noise_delta(seed, modality, space) if edits is None else given_delta(edits.delta)
    for query, delta in {"noise": noise, **{query: given_delta(made.delta) for query, made in crafted.items()}}.items():
        measurements[query] = measure(door, pairs, rows, modality, searched, delta)
    words = {} if edits is None else edits.counted(pairs, rows, {query: made.delta for query, made in crafted.items()})
    labels = torch.from_numpy(pairs.labels[rows])
    clean_map = measurements["clean"].map
    bound = clean_map - measurements["white_box"].map if "white_box" in measurements else 0.0
    table = []
    for query, found in measurements.items():
        drop, made_by = clean_map - found.map, crafted.get(query)
        table.append(
            Row(
                direction=modality.direction,
                query=query,
                map=found.map,
                drop=drop,
                share_of_white_box=drop / bound if bound > 0 and query != "clean" else None,
                distance=code_distance(codes, found.codes),
                epsilon=0.0 if query == "clean" else space.epsilon if edits is None else float(edits.count),
                linf=found.perceptibility.linf,
                rms=found.perceptibility.rms,
                psnr=found.perceptibility.psnr,
                ssim=found.perceptibility.ssim,
                pairs_queried=made_by.pairs_queried if made_by else 0,
                items_queried=made_by.items_queried if made_by else 0,
                needs=made_by.needs if made_by else "nothing",
                labels=made_by.labels if made_by else False,
                words=words.get(query),
                targeted_map=None if wanted is None else targeted_map(found.codes, labels, wanted, searched),
            )
        )
    chance = chance_level(labels, searched.labels)
    targeted = None if wanted is None else targeted_chance(labels, wanted, searched)
    return DirectionOutcome(tuple(table), measurements, searched, chance, targeted)
