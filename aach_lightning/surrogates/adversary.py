"""Small adversarial changes of the queried images: a surrogate that withstands them gives gradients that transfer."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aach_lightning.perturbations.descent import descend, gradient_of
from aach_lightning.perturbations.step import SignMomentum
from aach_lightning.runtime import ranks


@dataclass(frozen=True)
class Adversary:
    """Sign-gradient steps that move an image's relaxed code away from a code (PGD, Madry et al., ICLR 2018).

    Slightly robust networks are better sources of transfer attacks than ordinary ones (Springer et al., NeurIPS 2021).

    Attributes:
        epsilon: Largest change of a pixel in 1/255; each image gets its own bound, uniform in [0, epsilon].
        steps: Number of gradients; one step of full size where it is 1 (FGSM).
    """

    epsilon: float
    steps: int

    @property
    def active(self) -> bool:
        """Whether it changes images."""
        return self.epsilon > 0

    def __call__(
        self, encoder: nn.Module, images: Tensor, codes: Tensor, generator: torch.Generator, batch: int
    ) -> Tensor:
        """Change images so that `encoder` hashes them away from `codes`.

        Args:
            encoder: Image half of a surrogate; used in eval mode, its mode and its gradients stay as they were.
            images: float in [0, 1], this process's share (`ranks.own_share`) of a batch, N x 3 x H x W.
            codes: in {-1, +1}, N x K, what they should be hashed to.
            generator: On the CPU.
            batch: Images in the batch of all processes.

        Returns:
            N x 3 x H x W in [0, 1], without a gradient.
        """
        own = ranks.own_share(batch)
        bound = torch.rand(batch, 1, 1, 1, generator=generator)[own].to(images.device) * self.epsilon / 255
        # Steps of twice the bound in all, so that each pixel can cross its range.
        size = bound if self.steps == 1 else bound * 2 / self.steps
        training = [module for module in encoder.modules() if module.training]
        encoder.eval()

        def agreement(delta: Tensor) -> Tensor:
            relaxed: Tensor = encoder(images + delta).float()
            return (relaxed * codes).sum(dim=1)

        def within(delta: Tensor) -> Tensor:
            return torch.clamp(delta, -bound, bound)

        step = SignMomentum(size, 0.0)
        delta = descend(torch.zeros_like(images), gradient_of(agreement), step, within, self.steps)
        for module in training:
            module.training = True
        return (images + delta).clamp(0, 1)
