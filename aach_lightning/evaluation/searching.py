"""An attacker that searches: all that it has are the codes of the items it changes."""

import numpy as np
from numpy.typing import NDArray

from aach_lightning.attacks.search.crafting import ensure_searched
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.evaluation.attackers import Crafted
from aach_lightning.evaluation.result import Query
from aach_lightning.runtime.stopwatch import Stopwatch
from aach_lightning.runtime.store import Artifact, ArtifactStore
from aach_lightning.targets.blackbox import BlackBox


def craft_by_search(
    config: RunConfig,
    target: Artifact,
    door: BlackBox,
    pairs: Pairs,
    rows: NDArray[np.int64],
    modality: Modality,
    store: ArtifactStore,
    watch: Stopwatch,
) -> dict[Query, Crafted]:
    """Let the search attack one half of the items; arguments as of `craft`, and `target`, which is behind the door."""
    codes = door.query_images if modality == "image" else door.query_texts
    with watch.stage(f"attack {modality}"):
        found = ensure_searched(config, codes, target.key, pairs, rows, modality, store)
    return {"attack": Crafted(found.delta, "codes", False, 0, int(found.queries.sum()))}
