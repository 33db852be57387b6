"""The target stage: a trained network, the index of its codes, and a report that says whether it is any good."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.config.method import ACMRConfig, CheckpointConfig
from aach_lightning.config.target import TargetConfig
from aach_lightning.data.dataset import PairDataset
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import PairBatch, Pairs
from aach_lightning.data.splits import Split
from aach_lightning.networks.build import build_network
from aach_lightning.networks.hashing import Encoder, HashingNetwork, binary_codes
from aach_lightning.networks.inference import encode_images, relax_pairs
from aach_lightning.networks.sharing import check_shareable
from aach_lightning.retrieval import cosine_mean_average_precision
from aach_lightning.runtime import ranks
from aach_lightning.runtime.checkpoints import load_lightning_checkpoint, load_tensors, load_weights, save_tensors
from aach_lightning.runtime.files import write_json
from aach_lightning.runtime.instantiate import partial_of
from aach_lightning.runtime.loggers import stage_logger
from aach_lightning.runtime.seeding import derive_seed, numpy_generator
from aach_lightning.runtime.store import CHECKPOINTS, Artifact
from aach_lightning.runtime.trainer import ReseedEachEpoch, checkpoint_callbacks, fit, make_trainer
from aach_lightning.targets.datamodule import TargetDataModule
from aach_lightning.targets.method import Schedule, TargetModule, TrainPart
from aach_lightning.targets.report import describe_index, measure
from aach_lightning.zoo.checkpoints.files import kept_files
from aach_lightning.zoo.checkpoints.opening import open_checkpoint

NETWORK, INDEX, REPORT, SPLIT = "network.safetensors", "index.safetensors", "report.json", "split.json"
_LEARN = "Try a smaller target.image_lr / target.text_lr, more train pairs, or a pretrained image_net"
_CONVERT = "python -m aach_lightning.targets check tells whether its images should be converted otherwise"


@dataclass(frozen=True)
class CodeIndex:
    """The codes that a deployed system keeps of its whole collection.

    Attributes:
        image_codes: int8 in {-1, +1}, N x K, row i for pair i of the data set.
        text_codes: int8 in {-1, +1}, N x K.
    """

    image_codes: Tensor
    text_codes: Tensor

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the index of a target artifact."""
        return cls(**load_tensors(folder / INDEX))

    @classmethod
    def of(cls, relaxed: tuple[Tensor, Tensor]) -> Self:
        """Take the signs of relaxed codes of images and texts, each N x K."""
        images, texts = relaxed
        return cls(binary_codes(images), binary_codes(texts))


def build_target(config: TargetConfig, pairs: Pairs) -> HashingNetwork:
    """The target's network with its initial weights."""
    seed = derive_seed(config.seed, "target")
    return build_network(
        config.image_net, config.text_net, config.code_length, pairs.images.shape[-1], len(pairs.words), seed
    )


def load_target(experiment: Experiment, artifact: Artifact) -> HashingNetwork:
    """The network of a target artifact, in eval mode: trained, or from the files that it keeps."""
    config, pairs = experiment.config.target, experiment.pairs
    if isinstance(config.method, CheckpointConfig):
        files, sizes = kept_files(config.method, artifact.path), (pairs.images.shape[-1], len(pairs.words))
        return open_checkpoint(config.method, files, config.code_length, *sizes)
    network = build_target(config, pairs)
    load_weights(network, artifact.path / NETWORK)
    return network.eval()


def ensure_target(experiment: Experiment) -> Artifact:
    """Find or train the target's network; what is done to it afterwards does not matter here."""
    trained = asdict(experiment.config.target)
    for later in ("defence", "adversarial"):
        trained.pop(later)
    depends_on = {
        "config": trained,
        "data": experiment.pairs.fingerprint,
        "split": experiment.split.fingerprint,
        **experiment.numerics,
    }
    return experiment.store.get_or_build("target", depends_on, lambda folder: _train(experiment, folder))


def validation_rows(split: Split, limit: int, seed: int) -> NDArray[np.int64]:
    """Database rows that watch the training of a target: outside train where there are such, else up to half of train.

    The query part is never used for this: it stays unseen until the evaluation.
    """
    outside = np.setdiff1d(split.database, split.train)
    pool, most = (outside, len(outside)) if len(outside) else (split.train, len(split.train) // 2)
    return numpy_generator(seed, "validation").permutation(pool)[: min(limit, most)]


def _train(experiment: Experiment, folder: Path) -> None:
    config, pairs, split, device = experiment.config, experiment.pairs, experiment.split, experiment.device
    target, everything = config.target, experiment.everything
    network = build_target(target, pairs)
    features = None
    if isinstance(network.image, Encoder) and network.image.frozen:
        features = encode_images(network.image, pairs, everything, "target reads the images", device)
    check_shareable(network, config.trainer.accelerator)

    def part(rows: NDArray[np.int64]) -> PairDataset:
        return PairDataset(pairs, rows, None if features is None else features[torch.from_numpy(rows)], shared=True)

    query = validation_rows(split, target.validation, target.seed)
    data = TargetDataModule(
        part(split.train), part(query), part(np.setdiff1d(split.database, query)), target.batch_size, target.seed
    )
    method = partial_of(asdict(target.method))
    kind = cast(type[TargetModule], method.func)
    trained = network if features is None else network.on_features()
    train_part = _train_part(network, pairs, split.train, features, kind.needs_features, device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(target.seed, "method"))  # of the networks that a method adds
        module: TargetModule = method(trained, train_part, Schedule(target.image_lr, target.text_lr, target.epochs))
    checkpoints = folder / CHECKPOINTS
    with stage_logger("target") as logger:
        # MAP counts labels: a method that has none keeps its last epoch
        monitor, kept = ("target/map", "best.ckpt") if kind.supervised else (None, "last.ckpt")
        callbacks = [*checkpoint_callbacks(checkpoints, monitor), ReseedEachEpoch(target.seed)]
        trainer = make_trainer(config.trainer, folder, "training the target", target.epochs, callbacks, logger)
        fit(trainer, module, data, checkpoints)
    checkpoint = load_lightning_checkpoint(checkpoints / kept)
    module.load_state_dict(checkpoint["state_dict"])
    dataset = PairDataset(pairs, everything, features)

    def read(rows: NDArray[np.int64]) -> PairBatch:
        return dataset.__getitems__(rows.tolist())

    relaxed = relax_pairs(module.network.eval(), read, everything, device, "target hashes the collection")
    if not ranks.is_first():
        return
    save_tensors(folder / NETWORK, network.state_dict())
    write_index(experiment, folder, CodeIndex.of(relaxed), int(checkpoint["epoch"]), relaxed)


def _train_part(
    network: HashingNetwork,
    pairs: Pairs,
    rows: NDArray[np.int64],
    features: Tensor | None,
    needed: bool,
    device: torch.device,
) -> TrainPart:
    """What a method is given; features are read only where it needs them and nobody has read them."""
    own = torch.empty(len(rows), 0)
    if needed and features is not None:
        own = features[torch.from_numpy(rows)]
    elif needed and isinstance(network.image, Encoder):
        own = encode_images(network.image, pairs, rows, "target reads its train part", device)
    batch = pairs.batch_of_features(rows, own)
    return TrainPart(batch.ids, batch.labels, batch.texts, own)


def write_index(
    experiment: Experiment,
    folder: Path,
    index: CodeIndex,
    epoch: int,
    relaxed: tuple[Tensor, Tensor] | None = None,
) -> None:
    """Write what lies beside the weights of a target: its index, a report, and the data that it is made for.

    Args:
        experiment: Its configuration and data.
        folder: Where to.
        index: Codes of the collection.
        epoch: The epoch whose weights were kept, from 0: the best, or the last where no labels are read.
        relaxed: What the codes are signs of, where there is such.
    """
    target, pairs, split = experiment.config.target, experiment.pairs, experiment.split
    query = validation_rows(split, target.validation, target.seed)
    database = np.setdiff1d(split.database, query)
    save_tensors(folder / INDEX, {"image_codes": index.image_codes, "text_codes": index.text_codes})
    advice = _CONVERT if isinstance(target.method, CheckpointConfig) else _LEARN
    report = describe_index(index.image_codes, index.text_codes, pairs, query, database, epoch, advice)
    if relaxed is not None and isinstance(target.method, ACMRConfig):
        # the paper ranks real vectors; its number is not that of their signs
        report["validation_map_cosine"] = measure(cosine_mean_average_precision, *relaxed, pairs, query, database)
    write_json(folder / REPORT, report)
    split.save(folder / SPLIT)
    (folder / "vocabulary.txt").write_text("\n".join(pairs.words) + "\n", encoding="utf-8")


def read_report(artifact: Artifact) -> dict[str, Any]:
    """The report of a target artifact."""
    report: dict[str, Any] = json.loads((artifact.path / REPORT).read_text())
    return report
