"""Random resizing and padding (Xie et al., ICLR 2018)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aach_lightning.networks.placement import resize_and_pad
from aach_lightning.runtime.files import digest
from aach_lightning.runtime.seeding import torch_generator


class RandomResize(nn.Module):
    """Shrinks each image to a random size and puts it at a random place of a black canvas of the old size.

    What is drawn depends on the seed and on the 8-bit content of the image alone: a repeat gets the same answer, and
    neighbours in a batch do not matter. The least change of an image draws anew, so that whoever optimises through it
    averages over draws (expectation over transformation, Athalye et al., ICML 2018) even where the seed is known.

    It needs no stand-in: the gradient is that of the bilinear interpolation.

    Args:
        smallest: Smallest size as a share of the side, in (0, 1].
        seed: Base seed.

    Shapes: images N x 3 x H x W, float in [0, 1] -> the same.
    """

    def __init__(self, smallest: float, seed: int) -> None:
        super().__init__()
        self.smallest, self.seed = smallest, seed

    def forward(self, images: Tensor) -> Tensor:
        """Defended images."""
        levels = images.detach().mul(255).round().to(torch.uint8).cpu().contiguous().numpy()
        if not len(levels):
            return images
        return resize_and_pad(images, torch.stack([self._draw(level) for level in levels]).to(images))

    def _draw(self, levels: NDArray[np.uint8]) -> Tensor:
        """Scale in [smallest, 1], then horizontal and vertical place of the centre, within the canvas."""
        generator = torch_generator(self.seed, "defence", digest(levels.tobytes()))
        scale, *place = torch.rand(3, generator=generator, dtype=torch.float64).unbind()
        scale = self.smallest + (1 - self.smallest) * scale
        return torch.stack([scale, *((2 * shift - 1) * (1 - scale) for shift in place)])
