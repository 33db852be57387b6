"""Both doors to a trained target."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from aach_lightning.config.choices import Modality, Selection
from aach_lightning.config.method import HttpConfig
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split, gallery_rows
from aach_lightning.networks.build import build_defence
from aach_lightning.networks.defences import with_defence
from aach_lightning.runtime.files import digest_json
from aach_lightning.runtime.store import Artifact
from aach_lightning.runtime.trainer import compute_device, numerics
from aach_lightning.targets.answers import RankedAnswers
from aach_lightning.targets.blackbox import BlackBox, EvaluationDoor
from aach_lightning.targets.remote import open_remote
from aach_lightning.targets.service import Target
from aach_lightning.targets.training import SPLIT, CodeIndex, load_target


def open_target(config: RunConfig, pairs: Pairs, artifact: Artifact) -> tuple[BlackBox, EvaluationDoor]:
    """Put a trained target, with its defence, behind a metered door for the attacker, and another one for measurements.

    The budget is M pairs; with `attack.query_anchor` also one query for each attacked item, with `attack.target_item`
    one for the code of that item. Runs are told apart by what they send: equal seed, budget and items share one count;
    where a surrogate decides which pairs are sent, equal surrogates do.
    """
    halves = _directions(config)
    anchors = config.evaluation.queries * halves if config.attack.query_anchor else 0
    wanted = 0 if config.attack.target_item is None else halves
    run: dict[str, Any] = {
        "seed": config.seed,
        "pairs": config.budget.pairs,
        "anchors": anchors,
        "modality": config.attack.modality.value if anchors or wanted else None,
    }
    if config.budget.selection is not Selection.random:
        learner = {"surrogate": asdict(config.surrogate), "mining": asdict(config.mining)}
        run["chosen_by"] = {**asdict(config.budget), **learner, **numerics(config.trainer)}
    if wanted:
        run["item"] = config.attack.target_item
    return _doors(config, pairs, artifact, config.budget.pairs + anchors + wanted, run)


def open_for_search(config: RunConfig, pairs: Pairs, artifact: Artifact) -> tuple[BlackBox, EvaluationDoor]:
    """Put a trained target behind the same doors with the budget of a search.

    It is `attack.queries` for each attacked direction, and no pair. Equal searches of equal items share one count.
    """
    attack = config.attack
    run: dict[str, Any] = {
        "seed": config.seed,
        "search": None if attack.search is None else asdict(attack.search),
        "queries": attack.queries,
        "attacked": config.evaluation.queries,
        "modality": attack.modality.value,
        "epsilon": None if attack.modality is Modality.text else attack.epsilon,
        "text_epsilon": None if attack.modality is Modality.image else attack.text_epsilon,
        "norm": attack.norm.value,
    }
    return _doors(config, pairs, artifact, (attack.queries or 0) * _directions(config), run)


def deployed_target(config: RunConfig, pairs: Pairs, artifact: Artifact) -> Target:
    """A trained target with its defence, where the run computes; or one that answers over HTTP."""
    if isinstance(config.target.method, HttpConfig):
        return open_remote(config.target.method, config.target.code_length)
    defence = build_defence(config.target.defence)
    return with_defence(load_target(config.target, pairs, artifact), defence).to(compute_device(config.trainer))


def _directions(config: RunConfig) -> int:
    return 2 if config.attack.modality is Modality.both else 1


def _doors(
    config: RunConfig, pairs: Pairs, artifact: Artifact, budget: int, run: dict[str, Any]
) -> tuple[BlackBox, EvaluationDoor]:
    remote = isinstance(config.target.method, HttpConfig)
    device = torch.device("cpu") if remote else compute_device(config.trainer)
    network = deployed_target(config, pairs, artifact)
    form, name = _revealed(config, artifact), artifact.key
    if form is not None:  # another form, another ledger
        name = digest_json({"target": artifact.key, **config.answer.depended_on()})
    black_box = BlackBox(
        network,
        config.target.code_length,
        budget,
        Path(config.paths.store) / "ledger" / f"{name}.ledger",
        identity=name,
        run=digest_json(run),
        device=device,
        reveals=form,
    )
    return black_box, EvaluationDoor(network, config.target.code_length, device)


def _revealed(config: RunConfig, artifact: Artifact) -> RankedAnswers | None:
    """The form of answers where these are no codes; also in front of a service that gives codes over HTTP."""
    if not config.answer.ranked:
        return None
    split, index = Split.load(artifact.path / SPLIT), CodeIndex.load(artifact.path)
    rows = gallery_rows(split, config.answer.gallery, config.target.seed)
    return RankedAnswers(index.image_codes[rows], index.text_codes[rows], config.answer.length, artifact.key)
