"""SurrogateModule: learns to answer like the target, from mined triplets of its codes. LightningModule 1."""

from collections.abc import Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor

from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.networks.sharing import hash_global_batch
from aach_lightning.runtime import ranks
from aach_lightning.runtime.seeding import torch_generator
from aach_lightning.surrogates.adversary import Adversary
from aach_lightning.surrogates.augmentation import Augmentation
from aach_lightning.surrogates.batch import TripletBatch
from aach_lightning.surrogates.losses import (
    QuantisationTarget,
    TripletLoss,
    balance_loss,
    quantisation_loss,
    triplet_loss,
)


class SurrogateModule(pl.LightningModule):
    """Trains the image and the text surrogate together, of an ensemble each member with a loss of its own.

    Args:
        network: The network that gets trained; its inputs are what the data module gives (images or features).
        loss: Form of the triplet loss, "hinge" or "nll".
        margin: beta, in bits.
        triplet_weight: Weight of the triplet loss.
        quantisation: What relaxed codes are pulled to: their own "sign", or the "code" that the target answered.
        quantisation_weight: lambda, weight of that pull.
        balance_weight: Weight of bit balance.
        image_lr: Adam's learning rate of the image surrogate's head.
        backbone_lr: Adam's learning rate of the image surrogate's backbone, where it is fine-tuned.
        text_lr: Adam's learning rate of the text surrogate.
        weight_decay: Decoupled weight decay of all of them.
        epochs: Length of the cosine schedule.
        augmentation: Changes the images of a batch; None where the inputs are features.
        adversary: Changes them further, against each member; None to leave it out.
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
        balance_weight: float,
        image_lr: float,
        backbone_lr: float,
        text_lr: float,
        weight_decay: float,
        epochs: int,
        augmentation: Augmentation | None,
        adversary: Adversary | None,
        seed: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss, self.margin, self.triplet_weight = loss, margin, triplet_weight
        self.quantisation, self.quantisation_weight = quantisation, quantisation_weight
        self.balance_weight = balance_weight
        self.image_lr, self.backbone_lr, self.text_lr = image_lr, backbone_lr, text_lr
        self.weight_decay, self.epochs = weight_decay, epochs
        self.augmentation, self.adversary, self.seed = augmentation, adversary, seed

    def training_step(self, batch: TripletBatch, batch_index: int) -> Tensor:
        """Triplet loss in both directions, quantisation and balance of both modalities, summed over the members."""
        generator = torch_generator(self.seed, "augmentation", self.current_epoch, batch_index)
        given = self.network.member_inputs(batch.pairs.images)
        members = zip(self.network.members, given, strict=True)
        parts = [self._parts(member, images, batch, generator) for member, images in members]
        triplet, gap, balance = (torch.stack(part).sum() for part in zip(*parts, strict=True))
        loss = self.triplet_weight * triplet + self.quantisation_weight * gap + self.balance_weight * balance
        self.log("surrogate/loss", loss, prog_bar=True, batch_size=len(batch))
        self.log("surrogate/triplet_bits", triplet / len(parts), batch_size=len(batch))
        self.log("surrogate/quantisation", gap / len(parts), batch_size=len(batch))
        self.log(
            "surrogate/triplets", float(len(batch.image_anchored) + len(batch.text_anchored)), batch_size=len(batch)
        )
        return loss

    def _parts(
        self, network: HashingNetwork, images: Tensor, batch: TripletBatch, generator: torch.Generator
    ) -> Sequence[Tensor]:
        if self.augmentation is not None:
            images = self.augmentation(images, generator, len(batch))
        if self.adversary is not None:
            codes = self._own_codes(network, images, batch)
            images = self.adversary(network.image, images, codes, generator, len(batch))
        hashed_images, hashed_texts = hash_global_batch(network, images, batch.pairs.texts)
        with torch.autocast(self.device.type, enabled=False):  # the networks may compute in bfloat16, the loss may not
            triplet = triplet_loss(hashed_images, hashed_texts, batch.image_anchored, self.margin, self.loss)
            triplet = triplet + triplet_loss(hashed_texts, hashed_images, batch.text_anchored, self.margin, self.loss)
        gap = quantisation_loss(hashed_images, batch.image_codes, self.quantisation)
        gap = gap + quantisation_loss(hashed_texts, batch.text_codes, self.quantisation)
        return triplet, gap, balance_loss(hashed_images) + balance_loss(hashed_texts)

    def _own_codes(self, network: HashingNetwork, images: Tensor, batch: TripletBatch) -> Tensor:
        """Codes of this process's images: what they should be hashed to."""
        if self.quantisation == "code" and batch.image_codes is not None:
            return batch.image_codes[ranks.own_share(len(batch))]
        training = network.image.training
        network.image.eval()
        with torch.no_grad():
            codes = binary_codes(network.hash_images(images))
        network.image.train(training)
        return codes

    def configure_optimizers(self) -> pl.utilities.types.OptimizerLRScheduler:
        """AdamW with one parameter group a modality, the fine-tuned backbone slower; cosine schedule to zero."""
        members = self.network.members
        named = [entry for member in members for entry in member.image.named_parameters()]
        groups = [
            {"params": [p for name, p in named if not name.startswith("backbone.")], "lr": self.image_lr},
            {
                "params": [p for name, p in named if name.startswith("backbone.") and p.requires_grad],
                "lr": self.backbone_lr,
            },
            {"params": [p for member in members for p in member.text.parameters()], "lr": self.text_lr},
        ]
        optimizer = torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=self.weight_decay)
        return {
            "optimizer": optimizer,
            "lr_scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.epochs),
        }
