"""A target from files: a run keeps the files themselves, and the codes of the collection."""

from pathlib import Path
from typing import Any, cast

from aach_lightning.config.method import CheckpointConfig
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.networks.inference import hash_pairs
from aach_lightning.runtime import ranks
from aach_lightning.runtime.depends import named
from aach_lightning.runtime.store import Artifact
from aach_lightning.targets.deployment import Deployment
from aach_lightning.targets.index import CONVERT, CodeIndex, write_index
from aach_lightning.zoo.checkpoints.files import KEPT, CheckpointFiles, given_files, kept_files
from aach_lightning.zoo.checkpoints.opening import open_checkpoint

READ = ("_target_", "format", "text_file", "weights_file", "convention", "transposed", "feature_mean", "feature_std")


def method_identity(method: CheckpointConfig) -> dict[str, Any]:
    """What a result depends on of a checkpoint: its files by their content, wherever they lie, and how they are read.

    Raises:
        CheckpointError: If a file is missing or too large.
    """
    files = {f"{name}_file": found for name, found in given_files(method).digests().items()}
    return named(method, *READ) | files


class CheckpointDeployment(Deployment):
    """Somebody else's networks, from files. Its key is that of their content: equal files share a ledger."""

    weights = tuple(KEPT.values())
    advice = CONVERT

    @property
    def method(self) -> CheckpointConfig:
        """The files, and how they are read."""
        return cast(CheckpointConfig, self.config.method)

    def identity(self) -> dict[str, Any]:
        """As of every target, the files by their content."""
        return super().identity() | {"method": method_identity(self.method)}

    def build(self) -> Artifact:
        """Copy the files, and hash the collection.

        Raises:
            CheckpointError: If a file is missing, too large, damaged, unsafe, or of another format.
            ConfigError: If the networks are made for other sizes than the data.
        """
        files = given_files(self.method)
        identity = ranks.on_first(lambda: method_identity(self.method))
        depends_on = {
            "method": identity,
            **named(self.config, "code_length"),
            "validation": [self.config.validation, self.config.seed],
            **self.experiment.fingerprints,
            **self.experiment.numerics,
        }

        def build(folder: Path) -> None:
            here, description = self.experiment, "target hashes the collection"
            codes = hash_pairs(self._open(files), here.pairs.batch, here.everything, here.device, description)
            if not ranks.is_first():
                return
            files.copy(folder, {name: identity[f"{name}_file"] for name in files.listed()})
            write_index(here, folder, CodeIndex(*codes), advice=self.advice)

        return self.experiment.store.get_or_build("checkpoint", depends_on, build)

    def network(self, artifact: Artifact) -> HashingNetwork:
        """The network of the files that an artifact keeps; raises as `build`."""
        return self._open(kept_files(self.method, artifact.path))

    def _open(self, files: CheckpointFiles) -> HashingNetwork:
        pairs = self.experiment.pairs
        return open_checkpoint(self.method, files, self.config.code_length, pairs.images.shape[-1], len(pairs.words))
