"""JPEG re-encoding (Dziugaite et al., 2016; Guo et al., ICLR 2018)."""

from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from aach_lightning.networks.defences.straight_through import straight_through


class JPEG(nn.Module):
    """Encodes each image as JPEG with 4:2:0 chroma and decodes it again, by Pillow on the CPU; the stand-in is the
    identity.

    Args:
        quality: 1 to 95, as Pillow counts.

    Shapes: images N x 3 x H x W, float in [0, 1], rounded to 8 bits first -> the same, multiples of 1/255.
    """  # noqa: D205 - one sentence

    def __init__(self, quality: int) -> None:
        super().__init__()
        self.quality = quality

    def forward(self, images: Tensor) -> Tensor:
        """Defended images."""
        levels = images.detach().mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        decoded = np.stack([self._reencoded(level) for level in levels]) if len(levels) else levels
        exact = torch.from_numpy(decoded).permute(0, 3, 1, 2).contiguous().to(images.device, images.dtype).div_(255)
        return straight_through(exact, images)

    def _reencoded(self, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        file = BytesIO()
        Image.fromarray(levels).save(file, "JPEG", quality=self.quality, subsampling="4:2:0")
        with Image.open(file) as decoded:
            return np.asarray(decoded)
