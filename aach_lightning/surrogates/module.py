"""SurrogateModule: learns to answer like the target, from mined triplets of its codes. LightningModule 1."""

from collections.abc import Sequence
from dataclasses import asdict

import pytorch_lightning as pl
import torch
from torch import Tensor

from aach_lightning.config.choices import Quantisation
from aach_lightning.config.surrogate import SurrogateConfig
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.networks.sharing import hash_global_batch
from aach_lightning.runtime import ranks
from aach_lightning.runtime.seeding import torch_generator
from aach_lightning.surrogates.adversary import Adversary
from aach_lightning.surrogates.augmentation import Augmentation
from aach_lightning.surrogates.batch import TripletBatch
from aach_lightning.surrogates.losses import balance_loss, quantisation_loss, triplet_loss


class SurrogateModule(pl.LightningModule):
    """Trains the image and the text surrogate together, of an ensemble each member with a loss of its own.

    Args:
        network: The network that gets trained; its inputs are what the data module gives (images or features).
        config: Losses and their weights, learning rates, and what is done to the images of a batch.
        seed: Base seed of the augmentation.
    """

    def __init__(self, network: HashingNetwork, config: SurrogateConfig, seed: int) -> None:
        super().__init__()
        self.network, self.config, self.seed = network, config, seed
        self.augmentation = Augmentation(**asdict(config.augmentation))
        self.adversary = Adversary(**asdict(config.adversarial))

    def training_step(self, batch: TripletBatch, batch_index: int) -> Tensor:
        """Triplet loss in both directions, quantisation and balance of both modalities, summed over the members."""
        generator = torch_generator(self.seed, "augmentation", self.current_epoch, batch_index)
        given = self.network.member_inputs(batch.pairs.images)
        members = zip(self.network.members, given, strict=True)
        parts = [self._parts(member, images, batch, generator) for member, images in members]
        triplet, gap, balance = (torch.stack(part).sum() for part in zip(*parts, strict=True))
        weights = self.config
        loss = weights.triplet_weight * triplet + weights.quantisation_weight * gap + weights.balance_weight * balance
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
        if self.augmentation.active:
            images = self.augmentation(images, generator, len(batch))
        if self.adversary.active:
            codes = self._own_codes(network, images, batch)
            images = self.adversary(network.image, images, codes, generator, len(batch))
        hashed_images, hashed_texts = hash_global_batch(network, images, batch.pairs.texts)
        form, margin, pulled_to = self.config.loss, self.config.margin * network.code_length, self.config.quantisation
        with torch.autocast(self.device.type, enabled=False):  # the networks may compute in bfloat16, the loss may not
            triplet = triplet_loss(hashed_images, hashed_texts, batch.image_anchored, margin, form)
            triplet = triplet + triplet_loss(hashed_texts, hashed_images, batch.text_anchored, margin, form)
        gap = quantisation_loss(hashed_images, batch.image_codes, pulled_to)
        gap = gap + quantisation_loss(hashed_texts, batch.text_codes, pulled_to)
        return triplet, gap, balance_loss(hashed_images) + balance_loss(hashed_texts)

    def _own_codes(self, network: HashingNetwork, images: Tensor, batch: TripletBatch) -> Tensor:
        """Codes of this process's images: what they should be hashed to."""
        if self.config.quantisation is Quantisation.code and batch.image_codes is not None:
            return batch.image_codes[ranks.own_share(len(batch))]
        training = network.image.training
        network.image.eval()
        with torch.no_grad():
            codes = binary_codes(network.hash_images(images))
        network.image.train(training)
        return codes

    def configure_optimizers(self) -> pl.utilities.types.OptimizerLRScheduler:
        """AdamW with one parameter group a modality, the fine-tuned backbone slower; cosine schedule to zero."""
        config, members = self.config, self.network.members
        named = [entry for member in members for entry in member.image.named_parameters()]
        groups = [
            {"params": [p for name, p in named if not name.startswith("backbone.")], "lr": config.image_lr},
            {
                "params": [p for name, p in named if name.startswith("backbone.") and p.requires_grad],
                "lr": config.backbone_lr,
            },
            {"params": [p for member in members for p in member.text.parameters()], "lr": config.text_lr},
        ]
        optimizer = torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=config.weight_decay)
        return {
            "optimizer": optimizer,
            "lr_scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.epochs),
        }
