"""Adversarial training of a target that is trained already; the outcome is a target of its own."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.config.method import DCMHConfig
from aach_lightning.config.target import CmlaHardeningConfig, HardeningConfig
from aach_lightning.data.dataset import PairDataset
from aach_lightning.data.experiment import Experiment
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.networks.inference import hash_pairs, relax_pairs
from aach_lightning.runtime import ranks
from aach_lightning.runtime.checkpoints import load_weights, save_tensors
from aach_lightning.runtime.depends import named
from aach_lightning.runtime.loggers import stage_logger
from aach_lightning.runtime.seeding import derive_seed, numpy_generator
from aach_lightning.runtime.store import CHECKPOINTS, Artifact
from aach_lightning.runtime.trainer import ReseedEachEpoch, checkpoint_callbacks, fit, make_trainer
from aach_lightning.targets.adversarial_pairs import PairsWithAdversarial, TrainCodes, craft_pairs, perturbations
from aach_lightning.targets.datamodule import TargetDataModule
from aach_lightning.targets.hardening_module import FineTuningModule, PGDModule
from aach_lightning.targets.index import CodeIndex, validation_parts, write_index
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.targets.training import NETWORK, build_target


def ensure_hardened(experiment: Experiment, target: Artifact) -> Artifact:
    """Find the hardened target, or train the clean one further; that one itself where nothing is to be done."""
    hardening = experiment.config.target.adversarial
    if not isinstance(hardening, HardeningConfig):
        return target
    depends_on = {"target": target.key, "config": named(experiment.config.target, "adversarial")["adversarial"]}
    return experiment.store.get_or_build(
        "hardened", depends_on, lambda folder: _harden(experiment, hardening, target, folder)
    )


def _harden(experiment: Experiment, hardening: HardeningConfig, target: Artifact, folder: Path) -> None:
    config, pairs, split, device = experiment.config, experiment.pairs, experiment.split, experiment.device
    # adversarial images cannot be read once and for all: the backbone takes part, and learns unless it is told not to
    image_net = replace(config.target.image_net, frozen=hardening.frozen)
    network = build_target(replace(config.target, image_net=image_net), pairs)
    load_weights(network, target.path / NETWORK)
    network.eval().to(device)
    images, texts = relax_pairs(network, pairs.batch, split.train, device, "target reads its train part")
    codes = TrainCodes(images, texts, torch.from_numpy(pairs.labels[split.train]))
    checkpoints = folder / CHECKPOINTS
    train: PairDataset = PairDataset(pairs, split.train, shared=True)
    ids, rows = split.train, split.train
    if isinstance(hardening, CmlaHardeningConfig):
        order = numpy_generator(config.target.seed, "adversarial").permutation(split.train)
        sources, kept = order[: hardening.pairs], checkpoints / "adversarial"
        files = craft_pairs(experiment, network, sources, codes, hardening, kept)
        train = added = PairsWithAdversarial(pairs, split.train, sources, files)
        ids, rows = added.ids, added.rows
    module = _module(experiment, hardening, network.cpu(), torch.from_numpy(ids.copy()), pairs.labels[rows])
    module.remember(torch.from_numpy(split.train.copy()), codes.image_codes, codes.text_codes)
    module.train()
    asked, searched = (PairDataset(pairs, part, shared=True) for part in validation_parts(experiment))
    seed = derive_seed(config.target.seed, "hardening")
    data = TargetDataModule(train, asked, searched, config.target.batch_size, seed)
    with stage_logger("hardening") as logger:
        callbacks = [*checkpoint_callbacks(checkpoints, monitor=None), ReseedEachEpoch(seed)]
        trainer = make_trainer(config.trainer, folder, "hardening the target", hardening.epochs, callbacks, logger)
        fit(trainer, module, data, checkpoints)
    description = "target hashes the collection, hardened"
    index = CodeIndex(*hash_pairs(network.eval(), pairs.batch, experiment.everything, device, description))
    if not ranks.is_first():
        return
    save_tensors(folder / NETWORK, network.state_dict())
    # the last epoch and not the one of the best MAP: that of clean queries falls while the network hardens
    write_index(experiment, folder, index, hardening.epochs - 1)


def _module(
    experiment: Experiment,
    hardening: HardeningConfig,
    network: HashingNetwork,
    ids: Tensor,
    labels: NDArray[np.uint8],
) -> FineTuningModule:
    target = experiment.config.target
    nothing = torch.empty(len(ids), 0)  # DCMH reads neither texts nor features beside the batches
    arguments = (
        network,
        TrainPart(ids, torch.from_numpy(labels), nothing, nothing),
        Schedule(hardening.lr, hardening.lr, hardening.epochs),
        cast(DCMHConfig, target.method),
    )
    if isinstance(hardening, CmlaHardeningConfig):
        return FineTuningModule(*arguments)
    return PGDModule(*arguments, perturb=perturbations(hardening, experiment.pairs), seed=target.seed)
