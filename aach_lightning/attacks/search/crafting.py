"""The attack stage of a search: deltas of many items, batch by batch; only the first process asks."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import cast

from rich.progress import Progress
from torch import Tensor

from aach_lightning.attacks.build import attack_space
from aach_lightning.attacks.finished import DELTA, FinishedBatches
from aach_lightning.attacks.items import AttackBatches, ItemCodes
from aach_lightning.attacks.search.problem import Codes, Found, Problem, Search
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.runtime import ranks
from aach_lightning.runtime.checkpoints import load_tensors
from aach_lightning.runtime.depends import named
from aach_lightning.runtime.instantiate import instantiate
from aach_lightning.runtime.progress import progress_columns

log = logging.getLogger(__name__)

BATCH = 64  # items that ask together, which is what the door sends to a target at a time


def ensure_searched(experiment: Experiment, codes: Codes, target_key: str, modality: Modality) -> Found:
    """Find or search the deltas of the attacked items; every process gets them.

    Finished batches lie on the disk. A batch that was killed asks the same again, which is free at the door.

    Args:
        experiment: Each attacked item may spend an equal share of `attack.queries`, rounded down.
        codes: The door, for the attacked modality; asked in the first process alone.
        target_key: Artifact key of what is behind it.
        modality: Which half is attacked.
    """
    attack, rows, seed = experiment.config.attack, experiment.attacked, experiment.config.seed
    limit, space = (attack.queries or 0) // len(rows), attack_space(experiment, modality)
    depends_on = {
        **named(attack, "search"),
        "limit": limit,
        "space": asdict(space),
        "modality": modality,
        "target": target_key,
        "data": experiment.pairs.fingerprint,
        "rows": rows.tolist(),
        "seed": seed,
        **experiment.numerics,
    }

    def search_all(folder: Path) -> None:
        search = cast(Search, instantiate(named(attack, "search")["search"]))
        batches = AttackBatches(experiment.pairs, rows, ItemCodes(), BATCH)
        finished = FinishedBatches(folder, len(batches))
        missing = finished.missing()
        with Progress(*progress_columns()) as bar:
            task = bar.add_task(f"searching {modality}s", total=len(rows) * limit, numbers="queries")

            def counted(items: Tensor) -> Tensor:
                bar.advance(task, len(items))
                return codes(items)

            for number in range(len(batches)):
                if number in missing:
                    items = batches[number].pairs
                    problem = Problem(counted, modality.of(items), items.ids, space, limit, seed)
                    finished.save(number, vars(search(problem)))
                bar.update(task, completed=min((number + 1) * BATCH, len(rows)) * limit)  # items may end early
        if not bool(finished.put_together("delta", "distance", "queries")["delta"].any()):
            log.warning("the search has changed no %s: %d queries for each may be too few for it", modality, limit)

    artifact = experiment.store.get_or_build(
        "attack", depends_on, lambda folder: ranks.on_first(lambda: search_all(folder))
    )
    return Found(**load_tensors(artifact.path / DELTA))
