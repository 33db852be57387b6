"""The target stage: a trained network, the index of its codes, and a report that says whether it is any good."""

from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.config.target import TargetConfig
from aach_lightning.data.dataset import PairDataset
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import PairBatch, Pairs
from aach_lightning.networks.build import build_network
from aach_lightning.networks.hashing import Encoder, HashingNetwork
from aach_lightning.networks.inference import encode_images, relax_pairs
from aach_lightning.networks.sharing import check_shareable
from aach_lightning.runtime import ranks
from aach_lightning.runtime.checkpoints import load_lightning_checkpoint, save_tensors
from aach_lightning.runtime.depends import named
from aach_lightning.runtime.instantiate import partial_of
from aach_lightning.runtime.loggers import stage_logger
from aach_lightning.runtime.seeding import derive_seed
from aach_lightning.runtime.store import CHECKPOINTS, Artifact
from aach_lightning.runtime.trainer import ReseedEachEpoch, checkpoint_callbacks, fit, make_trainer
from aach_lightning.targets.datamodule import TargetDataModule
from aach_lightning.targets.index import CodeIndex, validation_parts, write_index
from aach_lightning.targets.method import Schedule, TargetModule, TrainPart

NETWORK = "network.safetensors"
# what is done to a trained network later, target.defence and target.adversarial, is no part of it
TRAINED = (
    "name",
    "code_length",
    "image_net",
    "text_net",
    "method",
    "image_lr",
    "text_lr",
    "batch_size",
    "epochs",
    "validation",
    "seed",
)


def build_target(config: TargetConfig, pairs: Pairs) -> HashingNetwork:
    """The target's network with its initial weights."""
    seed = derive_seed(config.seed, "target")
    return build_network(
        config.image_net, config.text_net, config.code_length, pairs.images.shape[-1], len(pairs.words), seed
    )


def ensure_target(experiment: Experiment) -> Artifact:
    """Find or train the target's network; what is done to it afterwards does not matter here."""
    trained = named(experiment.config.target, *TRAINED)
    depends_on = {"config": trained, **experiment.fingerprints, **experiment.numerics}
    return experiment.store.get_or_build("target", depends_on, lambda folder: _train(experiment, folder))


def _train(experiment: Experiment, folder: Path) -> None:
    config, pairs, split, device = experiment.config, experiment.pairs, experiment.split, experiment.device
    target, everything = config.target, experiment.everything
    network = build_target(target, pairs)
    kind = cast(type[TargetModule], partial_of({"_target_": target.method._target_}).func)
    features: Tensor | None = None
    own = torch.empty(len(split.train), 0)
    if isinstance(network.image, Encoder) and network.image.frozen:
        features = encode_images(network.image, pairs, everything, "target reads the images", device)
        own = features[split.train] if kind.needs_features else own
    elif isinstance(network.image, Encoder) and kind.needs_features:
        own = encode_images(network.image, pairs, split.train, "target reads its train part", device)
    check_shareable(network, config.trainer.accelerator)

    def part(rows: NDArray[np.int64], shared: bool = True) -> PairDataset:
        return PairDataset(pairs, rows, None if features is None else features[rows], shared)

    query, database = validation_parts(experiment)
    data = TargetDataModule(part(split.train), part(query), part(database), target.batch_size, target.seed)
    train = pairs.batch_of_features(split.train, own)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(target.seed, "method"))  # of the networks that a method adds
        module = kind(
            network if features is None else network.on_features(),
            TrainPart(train.ids, train.labels, train.texts, own),
            Schedule(target.image_lr, target.text_lr, target.epochs),
            target.method,
        )
    checkpoints = folder / CHECKPOINTS
    with stage_logger("target") as logger:
        # MAP counts labels: a method that has none keeps its last epoch
        monitor, kept = ("target/map", "best.ckpt") if kind.supervised else (None, "last.ckpt")
        callbacks = [*checkpoint_callbacks(checkpoints, monitor), ReseedEachEpoch(target.seed)]
        trainer = make_trainer(config.trainer, folder, "training the target", target.epochs, callbacks, logger)
        fit(trainer, module, data, checkpoints)
    checkpoint = load_lightning_checkpoint(checkpoints / kept)
    module.load_state_dict(checkpoint["state_dict"])
    whole = part(everything, shared=False)

    def read(rows: NDArray[np.int64]) -> PairBatch:
        return whole.__getitems__(rows.tolist())

    relaxed = relax_pairs(module.network.eval(), read, everything, device, "target hashes the collection")
    if not ranks.is_first():
        return
    save_tensors(folder / NETWORK, network.state_dict())
    vectors = relaxed if kind.ranks_vectors else None
    write_index(experiment, folder, CodeIndex.of(relaxed), int(checkpoint["epoch"]), vectors=vectors)
