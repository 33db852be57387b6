"""The attack stage of a search: deltas of many items, batch by batch; only the first process asks."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor

from aach_lightning.attacks.build import attack_space
from aach_lightning.attacks.crafting import DELTA
from aach_lightning.attacks.finished import batch_file, is_whole
from aach_lightning.attacks.search.problem import Codes, Found, Problem, Search
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.runtime import ranks
from aach_lightning.runtime.checkpoints import load_tensors, save_tensors
from aach_lightning.runtime.instantiate import instantiate
from aach_lightning.runtime.progress import progress_columns
from aach_lightning.runtime.store import ArtifactStore
from aach_lightning.runtime.trainer import numerics

log = logging.getLogger(__name__)

BATCH = 64  # items that ask together, which is what the door sends to a target at a time


def ensure_searched(
    config: RunConfig,
    codes: Codes,
    target_key: str,
    pairs: Pairs,
    rows: NDArray[np.int64],
    modality: Modality,
    store: ArtifactStore,
) -> Found:
    """Find or search the deltas of some items.

    Finished batches lie on the disk. A batch that was killed asks the same again, which is free at the door.

    Args:
        config: The whole configuration; each item may spend an equal share of `attack.queries`, rounded down.
        codes: The door, for the attacked modality; asked in the first process alone.
        target_key: Artifact key of what is behind it.
        pairs: The data set.
        rows: int64, N attacked rows.
        modality: Which half is attacked.
        store: Where finished deltas lie.

    Returns:
        What was found, on every process.
    """
    search, limit = asdict(config.attack)["search"], (config.attack.queries or 0) // len(rows)
    space = attack_space(config.attack, pairs, modality)
    depends_on: dict[str, Any] = {
        "search": search,
        "limit": limit,
        "space": asdict(space),
        "modality": modality,
        "target": target_key,
        "data": pairs.fingerprint,
        "rows": rows.tolist(),
        "seed": config.seed,
        **numerics(config.trainer),
    }
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]

    def search_all(folder: Path) -> None:
        look = cast(Search, instantiate(search))
        files = [batch_file(folder, number) for number in range(len(batches))]
        with Progress(*progress_columns()) as bar:
            task = bar.add_task(f"searching {modality}s", total=len(rows) * limit, numbers="queries")

            def counted(items: Tensor) -> Tensor:
                bar.advance(task, len(items))
                return codes(items)

            for number, (file, batch) in enumerate(zip(files, batches, strict=True)):
                if not is_whole(file):
                    items = pairs.batch(batch)
                    clean = items.images if modality == "image" else items.texts
                    save_tensors(file, vars(look(Problem(counted, clean, items.ids, space, limit, config.seed))))
                bar.update(task, completed=min((number + 1) * BATCH, len(rows)) * limit)  # items may end early
        parts = [load_tensors(file) for file in files]
        found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        if not bool(found["delta"].any()):
            log.warning("the search has changed no %s: %d queries for each may be too few for it", modality, limit)
        save_tensors(folder / DELTA, found)
        for file in files:
            file.unlink()

    artifact = store.get_or_build("attack", depends_on, lambda folder: ranks.on_first(lambda: search_all(folder)))
    return Found(**load_tensors(artifact.path / DELTA))
