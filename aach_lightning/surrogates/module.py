"""SurrogateModule: learns to answer like the target, from mined triplets of its codes. LightningModule 1."""

import pytorch_lightning as pl
import torch
from torch import Tensor

from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.networks.sharing import hash_global_batch
from aach_lightning.runtime.seeding import torch_generator
from aach_lightning.surrogates.augmentation import Augmentation
from aach_lightning.surrogates.batch import TripletBatch
from aach_lightning.surrogates.losses import QuantisationTarget, TripletLoss, quantisation_loss, triplet_loss


class SurrogateModule(pl.LightningModule):
    """Trains the image and the text surrogate together.

    Args:
        network: The network that gets trained; its inputs are what the data module gives (images or features).
        loss: Form of the triplet loss, "hinge" or "nll".
        margin: beta, in bits.
        triplet_weight: Weight of the triplet loss.
        quantisation: What relaxed codes are pulled to: their own "sign", or the "code" that the target answered.
        quantisation_weight: lambda, weight of that pull.
        image_lr: Adam's learning rate of the image surrogate's head.
        backbone_lr: Adam's learning rate of the image surrogate's backbone, where it is fine-tuned.
        text_lr: Adam's learning rate of the text surrogate.
        weight_decay: Decoupled weight decay of all of them.
        epochs: Length of the cosine schedule.
        augmentation: Changes the images of a batch; None where the inputs are features.
        seed: Base seed of the augmentation.
    """

    def __init__(
        self,
        network: HashingNetwork,
        loss: TripletLoss,
        margin: float,
        triplet_weight: float,
        quantisation: QuantisationTarget,
        quantisation_weight: float,
        image_lr: float,
        backbone_lr: float,
        text_lr: float,
        weight_decay: float,
        epochs: int,
        augmentation: Augmentation | None,
        seed: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss, self.margin, self.triplet_weight = loss, margin, triplet_weight
        self.quantisation, self.quantisation_weight = quantisation, quantisation_weight
        self.image_lr, self.backbone_lr, self.text_lr = image_lr, backbone_lr, text_lr
        self.weight_decay, self.epochs = weight_decay, epochs
        self.augmentation, self.seed = augmentation, seed

    def training_step(self, batch: TripletBatch, batch_index: int) -> Tensor:
        """Triplet loss in both directions plus quantisation of both modalities."""
        images = batch.pairs.images
        if self.augmentation is not None:
            generator = torch_generator(self.seed, "augmentation", self.current_epoch, batch_index)
            images = self.augmentation(images, generator, len(batch))
        hashed_images, hashed_texts = hash_global_batch(self.network, images, batch.pairs.texts)
        with torch.autocast(self.device.type, enabled=False):  # the networks may compute in bfloat16, the loss may not
            triplet = triplet_loss(hashed_images, hashed_texts, batch.image_anchored, self.margin, self.loss)
            triplet = triplet + triplet_loss(hashed_texts, hashed_images, batch.text_anchored, self.margin, self.loss)
        gap = quantisation_loss(hashed_images, batch.image_codes, self.quantisation)
        gap = gap + quantisation_loss(hashed_texts, batch.text_codes, self.quantisation)
        loss = self.triplet_weight * triplet + self.quantisation_weight * gap
        self.log("surrogate/loss", loss, prog_bar=True, batch_size=len(batch))
        self.log("surrogate/triplet_bits", triplet, batch_size=len(batch))
        self.log("surrogate/quantisation", gap, batch_size=len(batch))
        self.log(
            "surrogate/triplets", float(len(batch.image_anchored) + len(batch.text_anchored)), batch_size=len(batch)
        )
        return loss

    def configure_optimizers(self) -> pl.utilities.types.OptimizerLRScheduler:
        """AdamW with one parameter group a modality, the fine-tuned backbone slower; cosine schedule to zero."""
        backbone = [p for name, p in self.network.image.named_parameters() if name.startswith("backbone.")]
        head = [p for name, p in self.network.image.named_parameters() if not name.startswith("backbone.")]
        groups = [
            {"params": head, "lr": self.image_lr},
            {"params": [p for p in backbone if p.requires_grad], "lr": self.backbone_lr},
            {"params": list(self.network.text.parameters()), "lr": self.text_lr},
        ]
        optimizer = torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=self.weight_decay)
        return {
            "optimizer": optimizer,
            "lr_scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.epochs),
        }
