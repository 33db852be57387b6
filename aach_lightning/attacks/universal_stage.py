"""The stage of a universal delta: learned once on what the attacker has queried, for queries that it has never seen."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.attacks.build import (
    attack_space,
    build_bank,
    diversity_of,
    make_objective,
    source_in_precision,
)
from aach_lightning.attacks.crafting import DELTA, digest_codes, idle_keys
from aach_lightning.attacks.universal import UniversalDataModule, UniversalModule
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.runtime import ranks
from aach_lightning.runtime.batches import map_batches
from aach_lightning.runtime.checkpoints import load_tensors, save_tensors
from aach_lightning.runtime.loggers import stage_logger
from aach_lightning.runtime.store import CHECKPOINTS, ArtifactStore
from aach_lightning.runtime.trainer import (
    ReseedEachEpoch,
    checkpoint_callbacks,
    compute_device,
    fit,
    make_trainer,
    numerics,
)


def ensure_universal_delta(
    config: RunConfig,
    name: str,
    source: HashingNetwork,
    source_key: str,
    bank_rows: NDArray[np.int64],
    answers: Tensor | None,
    goal: Tensor | None,
    pairs: Pairs,
    modality: Modality,
    store: ArtifactStore,
) -> Tensor:
    """Find or learn the delta that is added to every input of a modality.

    It is learned on the items that the attacker knows, `attack.steps` times over all of them.

    Args:
        config: The whole configuration.
        name: Shown beside the progress bar.
        source: Frozen network that gives the gradients.
        source_key: Artifact key of its weights.
        bank_rows: int64, M rows that the attacker knows.
        answers: int8, M x K, the target's codes of these in the other modality where they shall decide who is near.
        goal: int8, K, the code that a targeted attack wants every input to have, or None.
        pairs: The data set.
        modality: Which half is attacked.
        store: Where a finished delta lies.

    Returns:
        float32, 1 x the shape of an input.
    """
    attack = asdict(config.attack)
    for key in ("name", "source", "bank", "modality", *idle_keys(modality)):
        del attack[key]
    depends_on: dict[str, Any] = {
        "attack": attack,
        "modality": modality,
        "source": source_key,
        "bank": bank_rows.tolist(),
        "answers": digest_codes(answers),
        "goal": digest_codes(goal),
        "data": pairs.fingerprint,
        "seed": config.seed,
        **numerics(config.trainer),
    }
    stage = f"attack/{modality}" if name == "attack" else f"attack/{modality}_{name}"

    def build(folder: Path) -> None:
        device = compute_device(config.trainer)
        objective, space = make_objective(config.attack), attack_space(config.attack, pairs, modality)
        network = source_in_precision(config, source).to(device)
        first = pairs.batch(bank_rows[:1])
        module = UniversalModule(
            network,
            build_bank(source, pairs, bank_rows, modality, objective, answers, device),
            bank_rows,
            _relaxed(network, pairs, bank_rows, modality, device),
            goal,
            objective,
            modality,
            space,
            (first.images if modality == "image" else first.texts).shape[1:],
            config.attack.step.size * space.epsilon,
            config.attack.steps,
            diversity_of(config, modality),
            stage,
        )
        data = UniversalDataModule(pairs, bank_rows, config.attack.batch_size, config.seed)
        checkpoints = folder / CHECKPOINTS
        with stage_logger(stage) as curves:
            callbacks = [*checkpoint_callbacks(checkpoints, monitor=None), ReseedEachEpoch(config.seed)]
            # whatever the precision of the network: delta, its bounds and the objective are float32
            hardware = replace(config.trainer, precision="32-true")
            description = f"one delta for all {modality}s, {name.replace('_', ' ')}"
            trainer = make_trainer(hardware, folder, description, config.attack.steps, callbacks, curves)
            fit(trainer, module, data, checkpoints)
        if ranks.is_first():
            save_tensors(folder / DELTA, {"delta": module.delta})

    return load_tensors(store.get_or_build("universal", depends_on, build).path / DELTA)["delta"]


def added_to_each(
    delta: Tensor, config: RunConfig, pairs: Pairs, rows: NDArray[np.int64], modality: Modality
) -> Tensor:
    """What a universal delta changes in each of N inputs, whose entries stay in their range: float32, N x ..."""
    space = attack_space(config.attack, pairs, modality)

    def compute(some: NDArray[np.int64]) -> tuple[Tensor, ...]:
        batch = pairs.batch(some)
        return (space.project(batch.images if modality == "image" else batch.texts, delta),)

    return map_batches(compute, rows)[0]


def _relaxed(
    network: HashingNetwork, pairs: Pairs, rows: NDArray[np.int64], modality: Modality, device: torch.device
) -> Tensor:
    def compute(some: NDArray[np.int64]) -> tuple[Tensor, ...]:
        batch = pairs.batch(some).to(device)
        return (network.hash_images(batch.images) if modality == "image" else network.hash_texts(batch.texts),)

    return map_batches(compute, rows)[0]
