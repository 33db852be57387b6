"""What all methods of training a target share: a network, its optimiser, and MAP while it learns. LightningModule 0."""

from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from aach_lightning.data.pairs import PairBatch
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.networks.sharing import hash_global_batch
from aach_lightning.retrieval import bit_balance, count_distinct_codes, mean_average_precision


@dataclass(frozen=True)
class TrainPart:
    """The n pairs that a target learns from.

    Attributes:
        rows: int64, n, their rows in the data set.
        labels: uint8 in {0, 1}, n x C; unsupervised methods do not read them.
        texts: float32, n x D.
        features: float32, n x F, what the image backbone gives before it has learned anything.
    """

    rows: Tensor
    labels: Tensor
    texts: Tensor
    features: Tensor


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a target learns.

    Attributes:
        image_lr: Learning rate of the image half.
        text_lr: Learning rate of the text half.
        epochs: Length of the cosine schedule of both.
    """

    image_lr: float
    text_lr: float
    epochs: int


class TargetModule(pl.LightningModule):
    """Trains a HashingNetwork; a method adds its loss.

    Args:
        network: The network that gets trained; its inputs are what the data loaders give (images or features).
        train: What it learns from.
        schedule: How long and how fast.
        options: Of the method: its class of `config.method`.

    Attributes:
        stage: Before the names of what is logged.
        supervised: Whether the method reads labels; without them the last epoch is kept, not the one of the best MAP.
        ranks_vectors: Whether the paper ranks real vectors: MAP of relaxed codes is reported too.
        needs_features: Whether `TrainPart.features` are read; else they may be n x 0.
        order: int64, n: what is kept of the train items is sorted by row, as `rows` is.
    """

    stage = "target"
    supervised = True
    ranks_vectors = False
    needs_features = False
    rows: Tensor

    def __init__(self, network: HashingNetwork, train: TrainPart, schedule: Schedule, options: Any) -> None:
        super().__init__()
        self.network, self.schedule, self.options = network, schedule, options
        self.order = train.rows.argsort()
        self.register_buffer("rows", train.rows[self.order])
        self._collected: list[list[tuple[Tensor, Tensor, Tensor]]] = [[], []]

    def positions(self, ids: Tensor) -> Tensor:
        """Places of the items of a batch among the train items, sorted by row."""
        return torch.searchsorted(self.rows, ids)

    def training_step(self, batch: PairBatch, batch_index: int) -> Tensor:
        """Loss of both modalities for a batch of train pairs."""
        loss = self.batch_loss(batch)
        self.log(f"{self.stage}/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def batch_loss(self, batch: PairBatch) -> Tensor:
        """Hash a batch and take its loss: a scalar, the same on every process."""
        images, texts = hash_global_batch(self.network, batch.images, batch.texts)
        self.remember(batch.ids, images.detach(), texts.detach())
        with torch.autocast(self.device.type, enabled=False):  # the networks may compute in bfloat16, the loss may not
            return self.loss(images, texts, batch)

    def remember(self, ids: Tensor, images: Tensor, texts: Tensor) -> None:
        """Take note of the relaxed codes of train items, N x K, before their loss is taken."""

    def loss(self, images: Tensor, texts: Tensor, batch: PairBatch) -> Tensor:
        """The objective of both modalities.

        Args:
            images: b x K, relaxed codes of the images of a batch, or of what was made of them.
            texts: b x K, of the texts.
            batch: Says which train items they are; holds this process's share of the images.

        Returns:
            Scalar.
        """
        raise NotImplementedError

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What is trained, and how fast: one group a modality."""
        return [
            {"params": [p for p in half.parameters() if p.requires_grad], "lr": lr}
            for half, lr in (
                (self.network.image, self.schedule.image_lr),
                (self.network.text, self.schedule.text_lr),
            )
        ]

    def configure_optimizers(self) -> pl.utilities.types.OptimizerLRScheduler:
        """Adam with a cosine schedule to zero."""
        optimizer = torch.optim.Adam(self.parameter_groups())
        return {
            "optimizer": optimizer,
            "lr_scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.schedule.epochs),
        }

    def validation_step(self, batch: PairBatch, batch_index: int, dataloader_idx: int = 0) -> None:
        """Collect codes: loader 0 gives queries, loader 1 the database."""
        images, texts = hash_global_batch(self.network, batch.images, batch.texts)
        self._collected[dataloader_idx].append((binary_codes(images), binary_codes(texts), batch.labels))

    def on_validation_epoch_end(self) -> None:
        """Log MAP in both directions, bit balance and the number of distinct codes."""
        query, database = ([torch.cat(part).cpu() for part in zip(*loader, strict=True)] for loader in self._collected)
        self._collected = [[], []]
        image_to_text = mean_average_precision(query[0], query[2], database[1], database[2])
        text_to_image = mean_average_precision(query[1], query[2], database[0], database[2])
        self.log(f"{self.stage}/map_i2t", image_to_text, prog_bar=True)
        self.log(f"{self.stage}/map_t2i", text_to_image, prog_bar=True)
        self.log(f"{self.stage}/map", (image_to_text + text_to_image) / 2)
        self.log(f"{self.stage}/bit_balance", rarer_sign(torch.cat(database[:2])))
        self.log(f"{self.stage}/distinct_codes", float(count_distinct_codes(torch.cat(database[:2]))))


def rarer_sign(codes: Tensor) -> float:
    """How often the rarer sign of a bit occurs, mean over bits: 0.5 for balanced codes, 0 for one constant code."""
    shares = bit_balance(codes)
    return float(torch.minimum(shares, 1 - shares).mean())
