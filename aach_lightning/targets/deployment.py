"""The target as it is deployed: trained, hardened where asked for, and its collection hashed as it will answer."""

import os
import shutil
from dataclasses import asdict
from pathlib import Path

from aach_lightning.config.method import CheckpointConfig, HttpConfig
from aach_lightning.config.target import NoDefenceConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.networks.build import build_defence
from aach_lightning.networks.defences import with_defence
from aach_lightning.networks.inference import relax_pairs
from aach_lightning.runtime import ranks
from aach_lightning.runtime.store import Artifact
from aach_lightning.targets.hardening import ensure_hardened
from aach_lightning.targets.remote_deployment import ensure_remote
from aach_lightning.targets.training import NETWORK, CodeIndex, ensure_target, load_target, read_report, write_index
from aach_lightning.zoo.checkpoint_deployment import ensure_checkpoint
from aach_lightning.zoo.checkpoints.files import KEPT


def ensure_deployed(experiment: Experiment) -> Artifact:
    """Find or build the target as an attacker meets it.

    The network is trained once, whatever is done to it later. A hardened one, and a defence, give artifacts of their
    own, and so keys and ledgers of their own, as the answers are other ones. Behind a defence lie the same weights, and
    an index of codes through the defence. Of one that answers over HTTP there is nothing but an index. One from files
    is not trained here.
    """
    method = experiment.config.target.method
    if isinstance(method, HttpConfig):
        return ensure_remote(experiment, method)
    if isinstance(method, CheckpointConfig):
        target = ensure_checkpoint(experiment, method)
    else:
        target = ensure_hardened(experiment, ensure_target(experiment))
    return _ensure_defended(experiment, target)


def _ensure_defended(experiment: Experiment, target: Artifact) -> Artifact:
    defence = experiment.config.target.defence
    if isinstance(defence, NoDefenceConfig):
        return target
    depends_on = {"target": target.key, "defence": asdict(defence)}

    def build(folder: Path) -> None:
        network = with_defence(load_target(experiment, target), build_defence(defence))
        description = "target hashes the collection, defended"
        relaxed = relax_pairs(network, experiment.pairs.batch, experiment.everything, experiment.device, description)
        if not ranks.is_first():
            return
        for name in (NETWORK, *KEPT.values()):
            if (target.path / name).exists():
                _link(target.path / name, folder / name)
        epoch = int(read_report(target)["kept_epoch"])
        write_index(experiment, folder, CodeIndex.of(relaxed), epoch, relaxed)

    return experiment.store.get_or_build("defended", depends_on, build)


def _link(file: Path, place: Path) -> None:
    """The same file under a second name, or a copy of it where the disk knows no such thing."""
    place.unlink(missing_ok=True)  # of a build that was killed
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)
