"""Random views of the few queried images, so that a fine-tuned surrogate does not learn them by heart."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.runtime import ranks


@dataclass(frozen=True)
class Augmentation:
    """Mirror, zoom and sign noise, drawn anew for every image.

    Attributes:
        flip: Mirror half of the images.
        zoom: Largest change of scale and shift as a share of the side, in [0, 1); 0 for none.
        noise: Largest amplitude of random sign noise in 1/255; each image gets its own, uniform in [0, noise].
    """

    flip: bool
    zoom: float
    noise: float

    @property
    def active(self) -> bool:
        """Whether it changes images at all."""
        return self.flip or self.zoom > 0 or self.noise > 0

    def __call__(self, images: Tensor, generator: torch.Generator, batch: int) -> Tensor:
        """Augment images.

        Args:
            images: float in [0, 1], this process's share (`ranks.own_share`) of a batch, N x 3 x H x W.
            generator: On the CPU.
            batch: Images in the batch of all processes: what one of them gets does not depend on who holds it.
        """
        count, device, own = len(images), images.device, ranks.own_share(batch)
        if self.flip or self.zoom:
            draws = torch.rand(batch, 4, generator=generator)[own].to(device)
            scale = 1 - self.zoom * draws[:, 0]
            mirror = torch.where(draws[:, 1] < 0.5, -1.0, 1.0) if self.flip else torch.ones_like(scale)
            shift = (2 * draws[:, 2:] - 1) * (1 - scale)[:, None]
            matrix = torch.zeros(count, 2, 3, device=device)
            matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, :, 2] = scale * mirror, scale, shift
            grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
            images = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
        if self.noise:
            amplitude = torch.rand(batch, 1, 1, 1, generator=generator)[own].to(device) * self.noise / 255
            signs = torch.randint(0, 2, (batch, *images.shape[1:]), generator=generator)[own].to(device) * 2 - 1
            images = (images + amplitude * signs).clamp(0, 1)
        return images
