"""Both doors to a trained target."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from aach_lightning.data.pairs import Pairs
from aach_lightning.runtime.choices import Modality
from aach_lightning.runtime.files import digest_json
from aach_lightning.runtime.schemas import RunConfig
from aach_lightning.runtime.search_schemas import SearchConfig
from aach_lightning.runtime.store import Artifact
from aach_lightning.runtime.trainer import compute_device
from aach_lightning.targets.blackbox import BlackBox, EvaluationDoor
from aach_lightning.targets.training import load_target


def open_target(
    config: RunConfig, pairs: Pairs, artifact: Artifact, search: SearchConfig | None = None, queries: int = 0
) -> tuple[BlackBox, EvaluationDoor]:
    """Put a trained target behind a metered door for the attacker, and another one for measurements.

    The budget is M pairs; with `attack.query_anchor` also one query for each attacked item. For a search it is
    `queries` for each attacked direction, and no pair. Runs are told apart by what they send: equal seed, budget and
    attacked items share one count, and so do equal searches of equal size.
    """
    device = compute_device(config.trainer)
    network = load_target(config.target, pairs, artifact).to(device)
    budget, run = _of_pairs(config) if search is None else _of_search(config, search, queries)
    black_box = BlackBox(
        network,
        config.target.code_length,
        budget,
        Path(config.paths.store) / "ledger" / f"{artifact.key}.ledger",
        identity=artifact.key,
        run=digest_json(run),
        device=device,
    )
    return black_box, EvaluationDoor(network, config.target.code_length, device)


def _of_pairs(config: RunConfig) -> tuple[int, dict[str, Any]]:
    anchors = 0
    if config.attack.query_anchor:
        anchors = config.evaluation.queries * (2 if config.attack.modality is Modality.both else 1)
    return config.budget.pairs + anchors, {
        "seed": config.seed,
        "pairs": config.budget.pairs,
        "anchors": anchors,
        "modality": config.attack.modality.value if anchors else None,
    }


def _of_search(config: RunConfig, search: SearchConfig, queries: int) -> tuple[int, dict[str, Any]]:
    attack = config.attack
    return queries * (2 if attack.modality is Modality.both else 1), {
        "seed": config.seed,
        "search": asdict(search),
        "queries": queries,
        "attacked": config.evaluation.queries,
        "modality": attack.modality.value,
        "epsilon": None if attack.modality is Modality.text else attack.epsilon,
        "text_epsilon": None if attack.modality is Modality.image else attack.text_epsilon,
        "norm": attack.norm.value,
    }
