"""The target as it is deployed: trained, hardened where asked for, and its collection hashed as it will answer."""

import os
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np

from aach_lightning.config.method import CheckpointConfig, HttpConfig
from aach_lightning.config.schema import RunConfig
from aach_lightning.config.target import NoDefenceConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split
from aach_lightning.networks.build import build_defence
from aach_lightning.networks.defences import with_defence
from aach_lightning.networks.inference import relax_pairs
from aach_lightning.runtime import ranks
from aach_lightning.runtime.store import Artifact, ArtifactStore
from aach_lightning.runtime.trainer import compute_device
from aach_lightning.targets.hardening import ensure_hardened
from aach_lightning.targets.remote_deployment import ensure_remote
from aach_lightning.targets.training import NETWORK, CodeIndex, ensure_target, load_target, read_report, write_index
from aach_lightning.zoo.checkpoint_deployment import ensure_checkpoint
from aach_lightning.zoo.checkpoints.files import KEPT


def ensure_deployed(config: RunConfig, pairs: Pairs, split: Split, store: ArtifactStore) -> Artifact:
    """Find or build the target as an attacker meets it.

    The network is trained once, whatever is done to it later. A hardened one, and a defence, give artifacts of their
    own, and so keys and ledgers of their own, as the answers are other ones. Behind a defence lie the same weights, and
    an index of codes through the defence. Of one that answers over HTTP there is nothing but an index. One from files
    is not trained here.
    """
    if isinstance(config.target.method, HttpConfig):
        return ensure_remote(config, config.target.method, pairs, split, store)
    if isinstance(config.target.method, CheckpointConfig):
        target = ensure_checkpoint(config, config.target.method, pairs, split, store)
    else:
        target = ensure_target(config, pairs, split, store)
        target = ensure_hardened(config, pairs, split, target, store)
    return _ensure_defended(config, pairs, split, target, store)


def _ensure_defended(config: RunConfig, pairs: Pairs, split: Split, target: Artifact, store: ArtifactStore) -> Artifact:
    if isinstance(config.target.defence, NoDefenceConfig):
        return target
    depends_on = {"target": target.key, "defence": asdict(config.target.defence)}

    def build(folder: Path) -> None:
        network = with_defence(load_target(config.target, pairs, target), build_defence(config.target.defence))
        everything = np.arange(len(pairs), dtype=np.int64)
        device, description = compute_device(config.trainer), "target hashes the collection, defended"
        relaxed = relax_pairs(network, pairs.batch, everything, device, description)
        if not ranks.is_first():
            return
        for name in (NETWORK, *KEPT.values()):
            if (target.path / name).exists():
                _link(target.path / name, folder / name)
        epoch = int(read_report(target)["kept_epoch"])
        write_index(folder, config, pairs, split, CodeIndex.of(relaxed), epoch, relaxed)

    return store.get_or_build("defended", depends_on, build)


def _link(file: Path, place: Path) -> None:
    """The same file under a second name, or a copy of it where the disk knows no such thing."""
    place.unlink(missing_ok=True)  # of a build that was killed
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)
