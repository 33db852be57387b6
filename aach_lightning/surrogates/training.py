"""The surrogate stage: M queries through the door, then networks that answer like the target."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split, budget_order
from aach_lightning.mining.miners import Miner
from aach_lightning.networks.build import build_network
from aach_lightning.networks.hashing import Encoder, HashingNetwork
from aach_lightning.networks.inference import encode_images
from aach_lightning.networks.sharing import check_shareable
from aach_lightning.runtime import ranks
from aach_lightning.runtime.checkpoints import load_tensors, load_weights, save_tensors
from aach_lightning.runtime.files import write_json
from aach_lightning.runtime.instantiate import instantiate
from aach_lightning.runtime.loggers import stage_logger
from aach_lightning.runtime.schemas import RunConfig
from aach_lightning.runtime.seeding import derive_seed
from aach_lightning.runtime.store import CHECKPOINTS, Artifact, ArtifactStore
from aach_lightning.runtime.trainer import (
    ReseedEachEpoch,
    checkpoint_callbacks,
    compute_device,
    fit,
    make_trainer,
    numerics,
)
from aach_lightning.surrogates.augmentation import Augmentation
from aach_lightning.surrogates.datamodule import SurrogateDataModule
from aach_lightning.surrogates.module import SurrogateModule
from aach_lightning.targets.blackbox import BlackBox

NETWORK, ANSWERS, SPENT = "network.safetensors", "answers.safetensors", "spent.json"


@dataclass(frozen=True)
class Answers:
    """What the attacker got for the budget.

    Attributes:
        rows: int64, M, the queried rows of the data set.
        image_codes: int8 in {-1, +1}, M x K.
        text_codes: int8 in {-1, +1}, M x K.
        spent: Pairs that this run alone has paid for.
    """

    rows: NDArray[np.int64]
    image_codes: Tensor
    text_codes: Tensor
    spent: int


def queried_rows(split: Split, pairs: int, seed: int) -> NDArray[np.int64]:
    """The rows that an attacker with a budget of `pairs` sends, int64 M."""
    return budget_order(split, seed)[:pairs]


def ensure_surrogate(
    config: RunConfig, pairs: Pairs, split: Split, target: Artifact, door: BlackBox, store: ArtifactStore
) -> Artifact:
    """Find the surrogate, or query the target and train one."""
    depends_on = {
        "config": asdict(config.surrogate),
        "mining": asdict(config.mining),
        "budget": asdict(config.budget),
        "seed": config.seed,
        "target": target.key,
        **numerics(config.trainer),
    }
    return store.get_or_build("surrogate", depends_on, lambda folder: _train(config, pairs, split, door, folder))


def build_surrogate(config: RunConfig, pairs: Pairs) -> HashingNetwork:
    """The surrogate's network with its initial weights."""
    surrogate, seed = config.surrogate, derive_seed(config.seed, "surrogate")
    size, width = pairs.images.shape[-1], len(pairs.words)
    return build_network(surrogate.image_net, surrogate.text_net, config.target.code_length, size, width, seed)


def load_surrogate(config: RunConfig, pairs: Pairs, artifact: Artifact) -> HashingNetwork:
    """The trained network of a surrogate artifact, in eval mode."""
    network = build_surrogate(config, pairs)
    load_weights(network, artifact.path / NETWORK)
    return network.eval()


def load_answers(artifact: Artifact) -> Answers:
    """The target's answers that a surrogate artifact was trained on."""
    tensors = load_tensors(artifact.path / ANSWERS)
    spent: dict[str, Any] = json.loads((artifact.path / SPENT).read_text())
    return Answers(np.asarray(spent["rows"]), tensors["image_codes"], tensors["text_codes"], spent["pairs"])


def _train(config: RunConfig, pairs: Pairs, split: Split, door: BlackBox, folder: Path) -> None:
    surrogate = config.surrogate
    network = build_surrogate(config, pairs)
    rows = queried_rows(split, config.budget.pairs, config.seed)
    check_shareable(network, config.trainer.accelerator)
    augmentation = Augmentation(**asdict(surrogate.augmentation))
    device = compute_device(config.trainer)
    features = None
    if isinstance(network.image, Encoder) and network.image.frozen and not augmentation.active:
        features = encode_images(network.image, pairs, rows, "surrogate reads the images", device)
    miner = cast(Miner, instantiate(asdict(config.mining)))
    data = SurrogateDataModule(door, pairs, rows, folder, miner, surrogate.batch_size, config.seed, features)
    module = SurrogateModule(
        network if features is None else network.on_features(),
        surrogate.loss.value,
        surrogate.margin * config.target.code_length,
        surrogate.triplet_weight,
        surrogate.quantisation.value,
        surrogate.quantisation_weight,
        surrogate.image_lr,
        surrogate.backbone_lr,
        surrogate.text_lr,
        surrogate.weight_decay,
        surrogate.epochs,
        augmentation if augmentation.active else None,
        config.seed,
    )
    checkpoints = folder / CHECKPOINTS
    with stage_logger("surrogate") as logger:
        callbacks = [*checkpoint_callbacks(checkpoints, monitor=None), ReseedEachEpoch(config.seed)]
        trainer = make_trainer(config.trainer, folder, "training the surrogate", surrogate.epochs, callbacks, logger)
        fit(trainer, module, data, checkpoints)
    if not ranks.is_first():
        return
    save_tensors(folder / NETWORK, network.cpu().state_dict())
    write_json(folder / SPENT, {"pairs": door.spent_pairs, "rows": rows.tolist()})
