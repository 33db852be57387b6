"""The attack stage: deltas of many items, batch by batch; finished batches lie on disk and a restart skips them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from aach_lightning.attacks.build import make_learner, make_objective
from aach_lightning.attacks.finished import DELTA, BatchWriter, FinishedBatches
from aach_lightning.attacks.items import AttackBatches, ItemCodes
from aach_lightning.attacks.module import AttackModule
from aach_lightning.attacks.source import Source, Task, build_bank, digest_codes
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.runtime import ranks
from aach_lightning.runtime.checkpoints import load_tensors
from aach_lightning.runtime.loggers import stage_logger
from aach_lightning.runtime.throughput import throughput
from aach_lightning.runtime.trainer import make_trainer


def ensure_deltas(
    experiment: Experiment,
    source: Source,
    modality: Modality,
    codes: ItemCodes,
    speed: dict[str, float] | None = None,
) -> Tensor:
    """Find or learn the deltas of the attacked items: float32, N x the shape of an input.

    Args:
        experiment: Its attacked rows are attacked.
        source: Whose gradients are followed.
        modality: Which half is attacked.
        codes: What the attacker knows or wants of the attacked items.
        speed: Gets the numbers of `Throughput` where deltas were learned.
    """
    config, rows = experiment.config, experiment.attacked
    depends_on = {
        **source.depends_on(experiment, modality),
        "anchors": digest_codes(codes.anchors),
        "goals": digest_codes(codes.goals),
        "rows": rows.tolist(),
    }
    stage = stage_name(source, modality)

    def build(folder: Path) -> None:
        batches = AttackBatches(experiment.pairs, rows, codes, config.attack.batch_size)
        objective = make_objective(config.attack)
        bank = build_bank(experiment, source, modality, objective)
        task = Task(source.in_precision(experiment), bank, objective, modality)
        module = AttackModule(task, make_learner(experiment, modality))
        finished = FinishedBatches(folder, len(batches))
        missing = ranks.on_first(finished.missing)
        own = missing[ranks.rank() :: ranks.size()]  # an item is crafted by one process alone
        with stage_logger(stage) as curves:
            if missing:
                # whatever the precision of the network: delta, its bounds and the objective are float32
                hardware = replace(config.trainer, precision="32-true")
                description = f"crafting {modality}s, {source.name.replace('_', ' ')}"
                trainer = make_trainer(hardware, folder, description, callbacks=[BatchWriter(finished, own)])
                loader = DataLoader(Subset(batches, own), batch_size=None)
                trainer.predict(module, loader, return_predictions=False)
                if speed is not None:
                    speed.update(throughput(trainer).numbers(config.attack.steps))
            ranks.barrier()
            if not ranks.is_first():
                return
            if curves is not None:
                for step, mean in enumerate(_mean_objective(finished.load())):
                    curves.log_metrics({f"{stage}/loss": mean}, step)
        finished.put_together("delta")

    artifact = experiment.store.get_or_build("attack", depends_on, build)
    return load_tensors(artifact.path / DELTA)["delta"]


def stage_name(source: Source, modality: Modality) -> str:
    """Under which an attack's curves are logged."""
    return f"attack/{modality}" if source.name == "attack" else f"attack/{modality}_{source.name}"


def _mean_objective(crafted: Sequence[dict[str, Tensor]]) -> list[float]:
    """Mean objective before each step over the items of all batches that recorded it."""
    recorded = [batch for batch in crafted if "objective" in batch]
    if not recorded:
        return []
    items = sum(len(batch["delta"]) for batch in recorded)
    mean: list[float] = (torch.stack([batch["objective"] for batch in recorded]).sum(dim=0) / items).tolist()
    return mean
