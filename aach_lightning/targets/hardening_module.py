"""Fine-tuning of a trained target, and fine-tuning on what PGD makes of each batch."""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import PairBatch
from aach_lightning.networks.hashing import binary_codes
from aach_lightning.networks.sharing import hash_global_batch
from aach_lightning.perturbations.descent import PGD
from aach_lightning.runtime import ranks
from aach_lightning.runtime.seeding import torch_generator
from aach_lightning.targets.dcmh import DCMHModule


class FineTuningModule(DCMHModule):
    """DCMH on a network that is trained already: batch normalisation keeps its statistics.

    They would drift towards small batches of changed images; and an item's adversarial form would depend on the others
    of its batch.
    """

    stage = "hardening"

    def train(self, mode: bool = True) -> Self:
        """Set training mode of everything but batch normalisation."""
        super().train(mode)
        for module in self.network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


class PGDModule(FineTuningModule):
    """Learns from each batch, and from the same pairs moved away from their codes, in equal parts.

    Args:
        *arguments: As `DCMHModule`.
        perturb: Of each modality.
        seed: Base seed of the random starts.
    """

    def __init__(self, *arguments: Any, perturb: Mapping[Modality, PGD], seed: int) -> None:
        super().__init__(*arguments)
        self.perturb, self.seed = perturb, seed

    def training_step(self, batch: PairBatch, batch_index: int) -> Tensor:
        """Mean loss of the clean and of the adversarial pairs; memories hold codes of clean ones."""
        images, texts = self._adversarial(batch, batch_index)
        loss = super().training_step(batch, batch_index)
        changed = self.loss(*hash_global_batch(self.network, images, texts), batch)
        self.log(f"{self.stage}/adversarial_loss", changed, prog_bar=True, batch_size=len(batch))
        return (loss + changed) / 2

    def _adversarial(self, batch: PairBatch, batch_index: int) -> tuple[Tensor, Tensor]:
        """Both halves moved away from their clean codes; of the images this process's share."""
        generator = torch_generator(self.seed, "adversarial", self.current_epoch, batch_index)
        starts = {
            half: 2 * torch.rand(len(batch), *half.of(batch).shape[1:], generator=generator) - 1 for half in Modality
        }
        starts[Modality.image] = starts[Modality.image][ranks.own_share(len(batch))]
        self.eval()  # the clean code and its changed form are those of one and the same network: no dropout
        images, texts = (self._moved(half, half.of(batch), starts[half]) for half in Modality)
        self.train()
        return images, texts

    def _moved(self, half: Modality, clean: Tensor, start: Tensor) -> Tensor:
        hashing = half.hashed_by(self.network)
        codes = binary_codes(hashing(clean).detach())

        def loss(inputs: Tensor) -> Tensor:
            return (hashing(inputs) * codes).mean(dim=1)

        return self.perturb[half](loss, clean, start.to(clean))
