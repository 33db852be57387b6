"""The surrogate stage: M queries through the door, then networks that answer like the target."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.config.choices import Selection, Supervision
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.splits import gallery_rows
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.networks.sharing import check_shareable
from aach_lightning.runtime import ranks
from aach_lightning.runtime.checkpoints import load_tensors, load_weights, save_tensors
from aach_lightning.runtime.depends import named
from aach_lightning.runtime.files import write_json
from aach_lightning.runtime.loggers import stage_logger
from aach_lightning.runtime.store import CHECKPOINTS, Artifact
from aach_lightning.runtime.trainer import ReseedEachEpoch, checkpoint_callbacks, fit, make_trainer
from aach_lightning.surrogates.datamodule import MinedDataModule, PublicDataModule, SurrogateDataModule
from aach_lightning.surrogates.listed import ListedDataModule
from aach_lightning.surrogates.module import SurrogateModule
from aach_lightning.surrogates.networks import build_surrogate, read_features, reads_features
from aach_lightning.surrogates.queries import first_round, public_rows, selected_rows
from aach_lightning.targets.blackbox import BlackBox

NETWORK, ANSWERS, SPENT = "network.safetensors", "answers.safetensors", "spent.json"


@dataclass(frozen=True)
class Answers:
    """What the attacker got for the budget.

    Attributes:
        rows: int64, M, the queried rows of the data set; the public rows where the surrogate learned from labels.
        image_codes: int8 in {-1, +1}, M x K; estimated where ranked lists were answered; 0 x K where nothing was asked.
        text_codes: int8 in {-1, +1}, M x K, likewise.
        spent: Pairs that this run alone has paid for.
        gallery: int64, G, the rows that ranked lists name; 0 where codes were answered, or nothing was asked.
    """

    rows: NDArray[np.int64]
    image_codes: Tensor
    text_codes: Tensor
    spent: int
    gallery: NDArray[np.int64]


def ensure_surrogate(experiment: Experiment, target: Artifact, door: BlackBox) -> Artifact:
    """Find the surrogate, or query the target and train one.

    Raises:
        BudgetExceeded: If an unfinished run of the same name has sent other pairs than this one wants to.
        ConfigError: If it shall learn from labels and there are no public pairs.
    """
    config = experiment.config
    gallery = np.empty(0, np.int64)
    if _learns_from_lists(config):
        gallery = gallery_rows(experiment.split, config.answer.gallery, config.target.seed)

    def rows(folder: Path) -> NDArray[np.int64]:
        if config.surrogate.learns_from is Supervision.labels:
            return public_rows(experiment)
        if config.budget.selection is Selection.random:
            return experiment.queried
        return selected_rows(experiment, folder, learner)

    def learner() -> HashingNetwork:
        """What was learned from the first round of `budget.selection=uncertainty`."""
        first = first_round(experiment)

        def build(folder: Path) -> None:
            _train(first, first.queried, gallery, door, folder, "first surrogate")

        # not the surrogate of a run with so small a budget: the count of what was spent belongs to this one
        depends_on = {**_depends_on(first, target), "first_round_of": config.budget.pairs}
        return load_surrogate(first, first.store.get_or_build("surrogate", depends_on, build))

    def build(folder: Path) -> None:
        _train(experiment, rows(folder), gallery, door, folder)

    return experiment.store.get_or_build("surrogate", _depends_on(experiment, target), build)


def load_surrogate(experiment: Experiment, artifact: Artifact) -> HashingNetwork:
    """The trained network of a surrogate artifact, in eval mode."""
    network = build_surrogate(experiment)
    load_weights(network, artifact.path / NETWORK)
    return network.eval()


def load_answers(artifact: Artifact) -> Answers:
    """The target's answers that a surrogate artifact was trained on."""
    tensors = load_tensors(artifact.path / ANSWERS)
    spent: dict[str, Any] = json.loads((artifact.path / SPENT).read_text())
    rows, gallery = (np.asarray(spent.get(name, []), dtype=np.int64) for name in ("rows", "gallery"))
    images, texts = (tensors[name][: len(rows)] for name in ("image_codes", "text_codes"))
    return Answers(rows, images, texts, spent["pairs"], gallery)


def _learns_from_lists(config: RunConfig) -> bool:
    return config.answer.ranked and config.surrogate.learns_from is Supervision.codes


def _depends_on(experiment: Experiment, target: Artifact) -> dict[str, Any]:
    config = experiment.config
    return {
        "config": named(config, "surrogate")["surrogate"],
        **named(config, "mining", "budget", "seed"),
        "target": target.key,
        **(config.answer.depended_on() if _learns_from_lists(config) else {}),
        **experiment.numerics,
    }


def _train(
    experiment: Experiment,
    rows: NDArray[np.int64],
    gallery: NDArray[np.int64],
    door: BlackBox,
    folder: Path,
    name: str = "surrogate",
) -> None:
    config, surrogate = experiment.config, experiment.config.surrogate
    network = build_surrogate(experiment)
    check_shareable(network, config.trainer.accelerator)
    module = SurrogateModule(network, surrogate, config.seed)
    features = None
    if reads_features(network) and not module.augmentation.active and not module.adversary.active:
        seen = np.concatenate([rows, gallery])
        features = torch.cat(read_features(network, experiment, seen, "surrogate reads the images"), dim=1)
        module.network = network.on_features()
    asks = surrogate.learns_from is Supervision.codes
    data: MinedDataModule
    if not asks:
        data = PublicDataModule(experiment, rows, features)
    elif len(gallery):
        data = ListedDataModule(experiment, door, rows, gallery, folder, features)
    else:
        data = SurrogateDataModule(experiment, door, rows, folder, features)
    checkpoints = folder / CHECKPOINTS
    with stage_logger(name.replace(" ", "_")) as logger:
        callbacks = [*checkpoint_callbacks(checkpoints, monitor=None), ReseedEachEpoch(config.seed)]
        trainer = make_trainer(config.trainer, folder, f"training the {name}", surrogate.epochs, callbacks, logger)
        fit(trainer, module, data, checkpoints)
    if not ranks.is_first():
        return
    save_tensors(folder / NETWORK, network.cpu().state_dict())
    if not asks:
        none = torch.empty(0, config.target.code_length, dtype=torch.int8)
        save_tensors(folder / ANSWERS, {"image_codes": none, "text_codes": none.clone()})
    listed = {"gallery": gallery.tolist()} if len(gallery) else {}
    write_json(folder / SPENT, {"pairs": door.spent_pairs if asks else 0, "rows": rows.tolist(), **listed})
