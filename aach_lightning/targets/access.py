"""Both doors to a trained target."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from aach_lightning.data.pairs import Pairs
from aach_lightning.runtime.choices import Modality, Selection
from aach_lightning.runtime.files import digest_json
from aach_lightning.runtime.schemas import RunConfig
from aach_lightning.runtime.store import Artifact
from aach_lightning.runtime.trainer import compute_device, numerics
from aach_lightning.targets.blackbox import BlackBox, EvaluationDoor
from aach_lightning.targets.training import load_target


def open_target(config: RunConfig, pairs: Pairs, artifact: Artifact) -> tuple[BlackBox, EvaluationDoor]:
    """Put a trained target behind a metered door for the attacker, and another one for measurements.

    The budget is M pairs; with `attack.query_anchor` also one query for each attacked item. Runs are told apart by what
    they send: equal seed, budget and attacked items share one count, and where a surrogate decides what is sent, the
    surrogates are equal too.
    """
    device = compute_device(config.trainer)
    network = load_target(config.target, pairs, artifact).to(device)
    anchors = 0
    if config.attack.query_anchor:
        anchors = config.evaluation.queries * (2 if config.attack.modality is Modality.both else 1)
    run: dict[str, Any] = {
        "seed": config.seed,
        "pairs": config.budget.pairs,
        "anchors": anchors,
        "modality": config.attack.modality.value if anchors else None,
    }
    if config.budget.selection is not Selection.random:
        learner = {"surrogate": asdict(config.surrogate), "mining": asdict(config.mining)}
        run["chosen_by"] = {**asdict(config.budget), **learner, **numerics(config.trainer)}
    black_box = BlackBox(
        network,
        config.target.code_length,
        config.budget.pairs + anchors,
        Path(config.paths.store) / "ledger" / f"{artifact.key}.ledger",
        identity=artifact.key,
        run=digest_json(run),
        device=device,
    )
    return black_box, EvaluationDoor(network, config.target.code_length, device)
