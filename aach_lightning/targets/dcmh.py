"""DCMH (Jiang and Li, CVPR 2017): supervised deep cross-modal hashing, LightningModule 0."""

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.data.pairs import PairBatch
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.networks.sharing import hash_global_batch
from aach_lightning.retrieval import bit_balance, count_distinct_codes, mean_average_precision


def dcmh_loss(
    relaxed: Tensor, memory: Tensor, similarity: Tensor, codes: Tensor, other_sum: Tensor, gamma: float, eta: float
) -> Tensor:
    """One modality's part of the DCMH objective for a batch of b items against all n train items of the other modality.

    [ sum (log(1 + e^Theta) - S Theta) + gamma |B - F|^2 + eta |F 1|^2 ] / (b n), Theta = F G' / 2
    (eqs. 1 and 3 of the paper; the division keeps the size of a step independent of b and n).

    Args:
        relaxed: b x K, F, this batch's relaxed codes of one modality.
        memory: n x K, G, the latest relaxed codes of all train items of the other modality.
        similarity: b x n in {0, 1}, S, whether two items share a label.
        codes: b x K in {-1, +1}, B.
        other_sum: K, sum of the same modality's relaxed codes over the train items outside the batch.
        gamma: Weight of quantisation.
        eta: Weight of bit balance.

    Returns:
        Scalar.
    """
    theta = relaxed @ memory.T / 2
    likelihood = (F.softplus(theta) - similarity * theta).sum()
    quantisation = (codes - relaxed).square().sum()
    balance = (relaxed.sum(dim=0) + other_sum).square().sum()
    loss: Tensor = (likelihood + gamma * quantisation + eta * balance) / similarity.numel()
    return loss


def rarer_sign(codes: Tensor) -> float:
    """How often the rarer sign of a bit occurs, mean over bits: 0.5 for balanced codes, 0 for one constant code."""
    shares = bit_balance(codes)
    return float(torch.minimum(shares, 1 - shares).mean())


class DCMHModule(pl.LightningModule):
    """Trains a HashingNetwork on labelled pairs by DCMH, both modalities in each step.

    The paper alternates between modalities epoch by epoch; here every batch updates both, against memories of the
    latest relaxed codes of all train items, and the codes B = sign(F + G) are those of the current step.

    Args:
        network: The network that gets trained; its inputs are what the data loaders give (images or features).
        train_rows: Row numbers of the n train items in their data set, in the order of `train_labels`.
        train_labels: uint8 in {0, 1}, n x C.
        gamma: Weight of quantisation.
        eta: Weight of bit balance.
        image_lr: Adam's learning rate of the image half.
        text_lr: Adam's learning rate of the text half.
        epochs: Length of the cosine schedule of both learning rates.

    Attributes:
        stage: Before the names of what is logged.
    """

    stage = "target"
    rows: Tensor
    labels: Tensor
    image_memory: Tensor
    text_memory: Tensor

    def __init__(
        self,
        network: HashingNetwork,
        train_rows: Tensor,
        train_labels: Tensor,
        gamma: float,
        eta: float,
        image_lr: float,
        text_lr: float,
        epochs: int,
    ) -> None:
        super().__init__()
        self.save_hyperparameters("gamma", "eta", "image_lr", "text_lr", "epochs")
        self.network = network
        self.gamma, self.eta = gamma, eta
        self.image_lr, self.text_lr, self.epochs = image_lr, text_lr, epochs
        order = train_rows.argsort()
        self.register_buffer("rows", train_rows[order])
        self.register_buffer("labels", train_labels[order].float())
        # Items not seen yet stand at 0: they pull nobody, where the paper's random start would pull at random.
        memory = torch.zeros(len(train_rows), network.code_length)
        self.register_buffer("image_memory", memory)
        self.register_buffer("text_memory", memory.clone())
        self._collected: list[list[tuple[Tensor, Tensor, Tensor]]] = [[], []]

    def training_step(self, batch: PairBatch, batch_index: int) -> Tensor:
        """Loss of both modalities for a batch of train pairs."""
        images, texts = hash_global_batch(self.network, batch.images, batch.texts)
        self.remember(batch.ids, images.detach(), texts.detach())
        loss = self.loss(images, texts, batch)
        self.log(f"{self.stage}/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def remember(self, ids: Tensor, images: Tensor, texts: Tensor) -> None:
        """Put relaxed codes of train items, N x K, into the memories."""
        position = torch.searchsorted(self.rows, ids)
        self.image_memory[position] = images
        self.text_memory[position] = texts

    def loss(self, images: Tensor, texts: Tensor, batch: PairBatch) -> Tensor:
        """The objective of both modalities.

        Args:
            images: b x K, relaxed codes of the images of a batch, or of what was made of them.
            texts: b x K, of the texts.
            batch: Says which train items they are.

        Returns:
            Scalar.
        """
        position = torch.searchsorted(self.rows, batch.ids)
        similarity = (batch.labels.float() @ self.labels.T > 0).float()
        codes = binary_codes(images.detach() + texts.detach())
        image_rest = self.image_memory.sum(dim=0) - self.image_memory[position].sum(dim=0)
        text_rest = self.text_memory.sum(dim=0) - self.text_memory[position].sum(dim=0)
        with torch.autocast(self.device.type, enabled=False):  # the networks may compute in bfloat16, the loss may not
            loss = dcmh_loss(images, self.text_memory, similarity, codes, image_rest, self.gamma, self.eta)
            return loss + dcmh_loss(texts, self.image_memory, similarity, codes, text_rest, self.gamma, self.eta)

    def configure_optimizers(self) -> pl.utilities.types.OptimizerLRScheduler:
        """Adam with one parameter group a modality and a cosine schedule to zero."""
        groups = [
            {"params": [p for p in self.network.image.parameters() if p.requires_grad], "lr": self.image_lr},
            {"params": [p for p in self.network.text.parameters() if p.requires_grad], "lr": self.text_lr},
        ]
        optimizer = torch.optim.Adam(groups)
        return {
            "optimizer": optimizer,
            "lr_scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.epochs),
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
