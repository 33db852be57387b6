"""Median filter (feature squeezing, Xu et al., NDSS 2018)."""

import torch
from torch import Tensor, nn


class MedianFilter(nn.Module):
    """Each pixel becomes the median of a square around it, channel by channel; beyond the edge the image is mirrored.

    It needs no stand-in: its gradient goes to the pixel that is the median.

    Args:
        window: Side of the square in pixels, odd; at most 2 H - 1 and 2 W - 1.

    Shapes: images N x 3 x H x W, float in [0, 1] -> the same.

    Example:
        >>> MedianFilter(window=3)(torch.eye(3).view(1, 1, 3, 3)).flatten()
        tensor([1., 0., 0., 0., 0., 0., 0., 0., 1.])
    """

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def forward(self, images: Tensor) -> Tensor:
        """Defended images."""
        # one by one: the squares of a whole batch would take window^2 times its memory
        return torch.stack([self._filtered(image) for image in images]) if len(images) else images

    def _filtered(self, image: Tensor) -> Tensor:
        height, width = image.shape[1:]
        padded = image[:, self._mirrored(height, image.device)][:, :, self._mirrored(width, image.device)]
        shifts = range(self.window)
        around = torch.stack([padded[:, y : y + height, x : x + width] for y in shifts for x in shifts], dim=-1)
        # sorted and not torch.median, which is not deterministic on a GPU
        middle = around.detach().argsort(dim=-1, stable=True)[..., self.window**2 // 2]
        return around.gather(-1, middle[..., None]).squeeze(-1)

    def _mirrored(self, size: int, device: torch.device) -> Tensor:
        """Rows of an image with a margin of half a window on both sides, the edge itself not repeated."""
        reach = self.window // 2
        places = torch.arange(-reach, size + reach, device=device).abs()
        return size - 1 - (size - 1 - places).abs()
