"""Both doors to a trained target."""

from pathlib import Path

from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.build import build_defence
from aach_lightning.networks.defences import with_defence
from aach_lightning.runtime.choices import Modality
from aach_lightning.runtime.files import digest_json
from aach_lightning.runtime.schemas import RunConfig
from aach_lightning.runtime.store import Artifact
from aach_lightning.runtime.trainer import compute_device
from aach_lightning.targets.blackbox import BlackBox, EvaluationDoor
from aach_lightning.targets.training import load_target


def open_target(config: RunConfig, pairs: Pairs, artifact: Artifact) -> tuple[BlackBox, EvaluationDoor]:
    """Put a trained target, with its defence, behind a metered door for the attacker, and another one for measurements.

    The budget is M pairs; with `attack.query_anchor` also one query for each attacked item. Runs are told apart by what
    they send: equal seed, budget and attacked items share one count.
    """
    device = compute_device(config.trainer)
    defence = build_defence(config.target.defence)
    network = with_defence(load_target(config.target, pairs, artifact), defence).to(device)
    anchors = 0
    if config.attack.query_anchor:
        anchors = config.evaluation.queries * (2 if config.attack.modality is Modality.both else 1)
    run = {
        "seed": config.seed,
        "pairs": config.budget.pairs,
        "anchors": anchors,
        "modality": config.attack.modality.value if anchors else None,
    }
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
