"""What all stages of one run share: configuration, pairs, split, store and stopwatch, carried as one."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from aach_lightning.config.schema import RunConfig
from aach_lightning.config.validate import validate_parts
from aach_lightning.data.load import load_pairs
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.protocol import split_note, split_pairs
from aach_lightning.data.splits import Split, budget_order
from aach_lightning.runtime import ranks
from aach_lightning.runtime.stopwatch import Stopwatch
from aach_lightning.runtime.store import ArtifactStore
from aach_lightning.runtime.trainer import compute_device, numerics


@dataclass(frozen=True)
class Experiment:
    """One experiment: what is configured, on which pairs, and where finished stages lie.

    Attributes:
        config: The whole configuration.
        pairs: The data set.
        split: Its query, train and database parts.
        store: Finished stages.
        watch: Seconds and memory of the stages of this run.
        objects: What no configuration can hold, by name, such as a target that a program was given.
    """

    config: RunConfig
    pairs: Pairs
    split: Split
    store: ArtifactStore
    watch: Stopwatch = field(default_factory=Stopwatch)
    objects: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        config: RunConfig,
        *,
        target_only: bool = False,
        pairs: Pairs | None = None,
        objects: dict[str, Any] | None = None,
    ) -> Self:
        """Read or draw the configured data and split them, timed as the stage "data".

        Args:
            config: The whole configuration.
            target_only: Nothing is attacked: budget and number of attacked queries need not fit the parts.
            pairs: The data set, where it is there already.
            objects: What no configuration can hold.

        Raises:
            ConfigError: If the parts are too small for the configuration.
            DataError: If the data cannot be read.
        """
        watch = Stopwatch()
        with watch.stage("data"):
            pairs = pairs or ranks.first_then_others(lambda: load_pairs(config.data, config.paths))
            split = split_pairs(config.split, pairs)
            if not target_only:
                validate_parts(config, len(split.query), len(split.train), len(split.database))
            pairs = replace(pairs, note=split_note(config.split, pairs))
        return cls(config, pairs, split, ArtifactStore(Path(config.paths.store)), watch, objects or {})

    def with_blocks(self, **blocks: Any) -> Self:
        """The same experiment where some blocks of the configuration, such as `attack`, are others."""
        return replace(self, config=replace(self.config, **blocks))

    @property
    def device(self) -> torch.device:
        """Where to compute outside a Trainer."""
        return compute_device(self.config.trainer)

    @property
    def numerics(self) -> dict[str, str]:
        """What of the hardware a stage depends on."""
        return numerics(self.config.trainer)

    @property
    def fingerprints(self) -> dict[str, str]:
        """What names the data and their parts in the key of whatever is made of them."""
        return {"data": self.pairs.fingerprint, "split": self.split.fingerprint}

    @property
    def everything(self) -> NDArray[np.int64]:
        """All rows of the data set."""
        return np.arange(len(self.pairs), dtype=np.int64)

    @property
    def attacked(self) -> NDArray[np.int64]:
        """The attacked rows: the first `evaluation.queries` of the query part."""
        return self.split.query[: self.config.evaluation.queries]

    @property
    def queried(self) -> NDArray[np.int64]:
        """The M rows that an attacker with this budget sends, where they are drawn at random from the train part."""
        return budget_order(self.split, self.config.seed)[: self.config.budget.pairs]

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The attacked modalities, image first."""
        chosen = self.config.attack.modality.value
        return tuple(modality for modality in Modality if chosen in (modality, "both"))
