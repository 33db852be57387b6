"""The attack stage: deltas of many items, batch by batch; finished batches lie on disk and a restart skips them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.attacks.datamodule import AttackDataModule
from aach_lightning.attacks.diversity import InputDiversity
from aach_lightning.attacks.finished import BatchWriter, batch_file, is_whole
from aach_lightning.attacks.module import AttackModule, Bank, Modality
from aach_lightning.attacks.space import Space
from aach_lightning.attacks.steps import AdamStep, SignMomentum, Step
from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.bfloat16 import BFloat16Network
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.runtime import ranks
from aach_lightning.runtime.attack_schemas import AttackConfig
from aach_lightning.runtime.batches import map_batches
from aach_lightning.runtime.checkpoints import load_tensors, save_tensors
from aach_lightning.runtime.choices import LoggerName, StepName
from aach_lightning.runtime.loggers import stage_logger
from aach_lightning.runtime.schemas import RunConfig
from aach_lightning.runtime.store import ArtifactStore
from aach_lightning.runtime.throughput import throughput
from aach_lightning.runtime.trainer import make_trainer, numerics

DELTA = "delta.safetensors"


def attack_space(config: AttackConfig, pairs: Pairs, modality: Modality) -> Space:
    """Bounds of delta for one modality, in units of the input."""
    if modality == "image":
        return Space(config.epsilon / 255, config.norm.value, 0.0, 1.0)
    return Space(config.text_epsilon, config.norm.value, pairs.text_low, pairs.text_high)


def build_bank(
    source: HashingNetwork,
    pairs: Pairs,
    queried: NDArray[np.int64],
    modality: Modality,
    answers: Tensor | None,
    device: torch.device,
) -> Bank:
    """Hash the queried items of the modality that is not attacked.

    Args:
        source: Gives the relaxed codes.
        pairs: The data set.
        queried: int64, M rows.
        modality: The attacked modality.
        answers: M x K, the target's codes of these items where they shall decide the ranking; else the source's do.
        device: Where to compute.
    """
    source = source.to(device)

    def compute(rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
        batch = pairs.batch(rows).to(device)
        return (source.hash_texts(batch.texts) if modality == "image" else source.hash_images(batch.images),)

    (relaxed,) = map_batches(compute, queried)
    return Bank(relaxed, binary_codes(relaxed) if answers is None else answers)


def ensure_deltas(
    config: RunConfig,
    name: str,
    source: HashingNetwork,
    source_key: str,
    make_bank: Callable[[], Bank],
    bank_key: str,
    pairs: Pairs,
    rows: NDArray[np.int64],
    anchors: Tensor | None,
    modality: Modality,
    store: ArtifactStore,
    speed: dict[str, float] | None = None,
) -> Tensor:
    """Find or learn the deltas of some items.

    Args:
        config: The whole configuration.
        name: Shown beside the progress bar.
        source: Frozen network that gives the gradients.
        source_key: Artifact key of its weights.
        make_bank: Hashes the queried items of the other modality; called only where deltas must be learned.
        bank_key: Artifact key of what the bank was built from.
        pairs: The data set.
        rows: int64, N attacked rows.
        anchors: int8, N x K, the target's own codes of the attacked items, or None.
        modality: Which half is attacked.
        store: Where finished deltas lie.
        speed: Gets the numbers of `Throughput` where deltas were learned.

    Returns:
        float32, N x the shape of the attacked inputs.
    """
    attack = asdict(config.attack)
    # neither changes a delta: each item is attacked on its own
    for key in ("name", "modality", "epsilon" if modality == "text" else "text_epsilon"):
        del attack[key]
    depends_on: dict[str, Any] = {
        "attack": attack,
        "modality": modality,
        "source": source_key,
        "bank": bank_key,
        "data": pairs.fingerprint,
        "rows": rows.tolist(),
        "seed": config.seed,
        **numerics(config.trainer),
    }
    batches = [
        rows[start : start + config.attack.batch_size] for start in range(0, len(rows), config.attack.batch_size)
    ]
    codes: Sequence[Tensor | None] = [None] * len(batches)
    if anchors is not None:
        codes = torch.split(anchors, config.attack.batch_size)

    description = f"crafting {modality}s, {name.replace('_', ' ')}"
    stage = f"attack/{modality}" if name == "attack" else f"attack/{modality}_{name}"

    def build(folder: Path) -> None:
        module = _module(config, source, make_bank(), pairs, modality)
        unfinished = [number for number in range(len(batches)) if not is_whole(batch_file(folder, number))]
        unfinished = ranks.on_first(lambda: unfinished)
        remaining = unfinished[ranks.rank() :: ranks.size()]  # an item is crafted by one process alone
        data = AttackDataModule(pairs, [batches[n] for n in remaining], [codes[n] for n in remaining])
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


def _module(config: RunConfig, source: HashingNetwork, bank: Bank, pairs: Pairs, modality: Modality) -> AttackModule:
    attack = config.attack
    space = attack_space(attack, pairs, modality)
    size = attack.step_size * space.epsilon

    def new_step() -> Step:
        return SignMomentum(size, attack.momentum) if attack.step is StepName.sign else AdamStep(size)

    queried = len(bank.relaxed)
    diversity = InputDiversity(attack.diversity.probability, attack.diversity.smallest, config.seed)
    return AttackModule(
        BFloat16Network(source) if _in_bfloat16(config) else source,
        bank,
        modality,
        space,
        new_step,
        attack.steps,
        max(1, round(attack.positives * queried)),
        max(1, round(attack.negatives * queried)),
        attack.margin * source.code_length,
        attack.quantisation_weight,
        attack.random_start,
        diversity if modality == "image" and diversity.probability > 0 else None,
        config.seed,
        record=config.logger.name is not LoggerName.none,
    )


def _mean_objective(crafted: Sequence[dict[str, Tensor]]) -> list[float]:
    """Mean objective of each step over the items of all batches that recorded it: of all processes and restarts."""
    recorded = [batch for batch in crafted if "objective" in batch]
    if not recorded:
        return []
    items = sum(len(batch["delta"]) for batch in recorded)
    mean: list[float] = (torch.stack([batch["objective"] for batch in recorded]).sum(dim=0) / items).tolist()
    return mean


def _in_bfloat16(config: RunConfig) -> bool:
    return config.trainer.precision.startswith("bf16")
