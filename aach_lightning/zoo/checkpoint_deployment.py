"""What a run keeps of a target from files: the files themselves, and the codes of the collection."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from aach_lightning.config.method import CheckpointConfig, MethodConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.networks.inference import hash_pairs
from aach_lightning.runtime import ranks
from aach_lightning.runtime.store import Artifact
from aach_lightning.targets.training import CodeIndex, write_index
from aach_lightning.zoo.checkpoints.files import CheckpointFiles, given_files
from aach_lightning.zoo.checkpoints.opening import open_checkpoint


def method_identity(method: MethodConfig) -> dict[str, Any]:
    """What a result depends on of a method: files by their content, wherever they lie.

    Raises:
        CheckpointError: If a file is missing or too large.
    """
    plain = asdict(method)
    if isinstance(method, CheckpointConfig):
        del plain["largest_mib"]
        plain |= {f"{name}_file": found for name, found in given_files(method).digests().items()}
    return plain


def ensure_checkpoint(experiment: Experiment, method: CheckpointConfig) -> Artifact:
    """Find or make the artifact of a target from files: copies of them, and the codes of the collection.

    Its key is that of their content, so that equal files share a ledger, and others never do.

    Raises:
        CheckpointError: If a file is missing, too large, damaged, unsafe, or of another format.
        ConfigError: If the networks are made for other sizes than the data.
    """
    target, pairs = experiment.config.target, experiment.pairs
    files = given_files(method)
    identity = ranks.on_first(lambda: method_identity(method))
    depends_on = {
        "method": identity,
        "code_length": target.code_length,
        "validation": [target.validation, target.seed],
        "data": pairs.fingerprint,
        "split": experiment.split.fingerprint,
        **experiment.numerics,
    }

    def build(folder: Path) -> None:
        network = open_for_data(experiment, method, files)
        description = "target hashes the collection"
        codes = hash_pairs(network, pairs.batch, experiment.everything, experiment.device, description)
        if not ranks.is_first():
            return
        files.copy(folder, {name: identity[f"{name}_file"] for name in files.listed()})
        write_index(experiment, folder, CodeIndex(*codes), 0)

    return experiment.store.get_or_build("checkpoint", depends_on, build)


def open_for_data(experiment: Experiment, method: CheckpointConfig, files: CheckpointFiles) -> HashingNetwork:
    """The network of some files, checked against the data; raises as `open_checkpoint`."""
    pairs = experiment.pairs
    sizes = pairs.images.shape[-1], len(pairs.words)
    return open_checkpoint(method, files, experiment.config.target.code_length, *sizes)
