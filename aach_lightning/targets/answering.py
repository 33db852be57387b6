"""A target of which a run has answers alone, over HTTP or in this process: it keeps the codes of the collection."""

import json
from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.runtime import ranks
from aach_lightning.runtime.batches import map_batches
from aach_lightning.runtime.depends import named
from aach_lightning.runtime.files import write_json
from aach_lightning.runtime.store import Artifact
from aach_lightning.targets.deployment import Deployment
from aach_lightning.targets.index import REPORT, CodeIndex, write_index


class AnsweringDeployment(Deployment):
    """Nothing but an index of codes, and no defence that could be put before it.

    The whole collection is sent once, and counted as `index_items`. This stands for the database that the system has
    hashed itself; no attacker pays for it or sees it. The key is what the system is known by, so that equal ones share
    a ledger, and others never do.

    Attributes:
        stage: Folder in the store.
    """

    stage: str

    @abstractmethod
    def known_as(self) -> Any:
        """What tells the system from every other one, as JSON values."""

    @abstractmethod
    def codes(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Codes of the images and of the texts of some rows, int8 in {-1, +1}, N x K each."""

    def identity(self) -> dict[str, Any]:
        """The system by what it is known by: it is asked for that."""
        return {"name": self.config.name, "deployed": self.ensure().key}

    def build(self) -> Artifact:
        """Ask what the system is known by, and hash the collection where that was not done before."""
        return self.artifact

    def ensure(self) -> Artifact:
        """The same: a defence is the system's own business."""
        return self.artifact

    @cached_property
    def artifact(self) -> Artifact:
        """Its index, found or made."""
        depends_on = {
            "identity": ranks.on_first(self.known_as),
            **named(self.config, "code_length"),
            "validation": [self.config.validation, self.config.seed],
            **self.experiment.fingerprints,
        }
        return self.checked(self.experiment.store.get_or_build(self.stage, depends_on, self._hash_collection))

    def checked(self, artifact: Artifact) -> Artifact:
        """The index, after whatever has to be checked of one that was found."""
        return artifact

    def _hash_collection(self, folder: Path) -> None:
        here = self.experiment
        index = CodeIndex(*map_batches(self.codes, here.everything, "the system hashes the collection"))
        if not ranks.is_first():
            return
        write_index(here, folder, index, advice=self.advice)
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        write_json(folder / REPORT, {**report, "index_items": 2 * len(here.pairs)})
