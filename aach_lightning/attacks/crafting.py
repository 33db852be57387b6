"""The attack stage: deltas of many items, batch by batch; finished batches lie on disk and a restart skips them."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.attacks.build import build_bank, build_module, make_objective
from aach_lightning.attacks.datamodule import AttackDataModule
from aach_lightning.attacks.finished import BatchWriter, batch_file, is_whole
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.runtime import ranks
from aach_lightning.runtime.checkpoints import load_tensors, save_tensors
from aach_lightning.runtime.files import digest
from aach_lightning.runtime.loggers import stage_logger
from aach_lightning.runtime.store import ArtifactStore
from aach_lightning.runtime.throughput import throughput
from aach_lightning.runtime.trainer import compute_device, make_trainer, numerics

DELTA = "delta.safetensors"
EDIT_KEYS = ("edits", "edit_candidates", "edit_removes")


def ensure_deltas(
    config: RunConfig,
    name: str,
    source: HashingNetwork,
    source_key: str,
    bank_rows: NDArray[np.int64],
    answers: Tensor | None,
    pairs: Pairs,
    rows: NDArray[np.int64],
    anchors: Tensor | None,
    modality: Modality,
    store: ArtifactStore,
    speed: dict[str, float] | None = None,
    goals: Tensor | None = None,
) -> Tensor:
    """Find or learn the deltas of some items.

    Args:
        config: The whole configuration.
        name: Shown beside the progress bar.
        source: Frozen network that gives the gradients.
        source_key: Artifact key of its weights.
        bank_rows: int64, M rows that the attacker knows.
        answers: int8, M x K, the target's codes of these in the other modality where they shall decide who is near.
        pairs: The data set.
        rows: int64, N attacked rows.
        anchors: int8, N x K, the target's own codes of the attacked items, or None.
        modality: Which half is attacked.
        store: Where finished deltas lie.
        speed: Gets the numbers of `Throughput` where deltas were learned.
        goals: int8, N x K, the codes that a targeted attack wants the attacked items to have, or None.

    Returns:
        float32, N x the shape of the attacked inputs.
    """
    attack = asdict(config.attack)
    # neither changes a delta: each item is attacked on its own
    for key in ("name", "source", "bank", "modality", "search", "queries", *idle_keys(modality)):
        del attack[key]
    objective = make_objective(config.attack)
    depends_on: dict[str, Any] = {
        "attack": attack,
        "modality": modality,
        "source": source_key,
        "bank": bank_rows.tolist(),
        "answers": digest_codes(answers),
        "anchors": digest_codes(anchors),
        "goals": digest_codes(goals),
        "data": pairs.fingerprint,
        "rows": rows.tolist(),
        "seed": config.seed,
        **numerics(config.trainer),
    }
    batches = [
        rows[start : start + config.attack.batch_size] for start in range(0, len(rows), config.attack.batch_size)
    ]

    def split(codes: Tensor | None) -> Sequence[Tensor | None]:
        return [None] * len(batches) if codes is None else torch.split(codes, config.attack.batch_size)

    codes, wanted = split(anchors), split(goals)
    description = f"crafting {modality}s, {name.replace('_', ' ')}"
    stage = f"attack/{modality}" if name == "attack" else f"attack/{modality}_{name}"

    def build(folder: Path) -> None:
        device = compute_device(config.trainer)
        bank = build_bank(source, pairs, bank_rows, modality, objective, answers, device)
        module = build_module(config, source, bank, objective, pairs, modality)
        unfinished = [number for number in range(len(batches)) if not is_whole(batch_file(folder, number))]
        unfinished = ranks.on_first(lambda: unfinished)
        remaining = unfinished[ranks.rank() :: ranks.size()]  # an item is crafted by one process alone
        data = AttackDataModule(
            pairs, [batches[n] for n in remaining], [codes[n] for n in remaining], [wanted[n] for n in remaining]
        )
        with stage_logger(stage) as curves:
            if unfinished:
                # whatever the precision of the network: delta, its bounds and the objective are float32
                hardware = replace(config.trainer, precision="32-true")
                trainer = make_trainer(hardware, folder, description, callbacks=[BatchWriter(folder, remaining)])
                trainer.predict(module, datamodule=data, return_predictions=False)
                if speed is not None:
                    speed.update(throughput(trainer).numbers(config.attack.steps))
            ranks.barrier()
            if not ranks.is_first():
                return
            files = [batch_file(folder, number) for number in range(len(batches))]
            crafted = [load_tensors(file) for file in files]
            if curves is not None:
                for step, mean in enumerate(_mean_objective(crafted)):
                    curves.log_metrics({f"{stage}/loss": mean}, step)
        save_tensors(folder / DELTA, {"delta": torch.cat([batch["delta"] for batch in crafted])})
        for file in files:
            file.unlink()

    artifact = store.get_or_build("attack", depends_on, build)
    return load_tensors(artifact.path / DELTA)["delta"]


def idle_keys(modality: Modality) -> tuple[str, ...]:
    """Keys of `attack` that change no delta of this modality, or only through something else that a stage knows."""
    shared = ("universal", "target_label", "target_item")
    return (*shared, "epsilon") if modality == "text" else (*shared, "text_epsilon", "text_form", *EDIT_KEYS)


def digest_codes(codes: Tensor | None) -> str | None:
    """Hash of some codes; None where there are none."""
    return None if codes is None else digest(codes.numpy().tobytes())


def _mean_objective(crafted: Sequence[dict[str, Tensor]]) -> list[float]:
    """Mean objective of each step over the items of all batches that recorded it: of all processes and restarts."""
    recorded = [batch for batch in crafted if "objective" in batch]
    if not recorded:
        return []
    items = sum(len(batch["delta"]) for batch in recorded)
    mean: list[float] = (torch.stack([batch["objective"] for batch in recorded]).sum(dim=0) / items).tolist()
    return mean
