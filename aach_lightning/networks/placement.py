"""An image at another size and place on a black canvas, differentiably."""

import torch
from torch import Tensor
from torch.nn import functional as F


def resize_and_pad(images: Tensor, placement: Tensor) -> Tensor:
    """Shrink each image and put it somewhere on a black canvas of the same size, bilinearly and differentiably.

    Args:
        images: float, N x 3 x H x W.
        placement: float, N x 3: scale in (0, 1], then the centre's horizontal and vertical place in [-1, 1].

    Returns:
        N x 3 x H x W.
    """
    scale = placement[:, :1]
    if images.device.type == "cpu":
        return _sample(images, scale, placement[:, 1:])
    columns = _interpolation(images.shape[3], scale, placement[:, 1:2])
    rows = _interpolation(images.shape[2], scale, placement[:, 2:])
    return rows[:, None] @ images @ columns[:, None].mT


def _sample(images: Tensor, scale: Tensor, centre: Tensor) -> Tensor:
    """By `grid_sample`: less work than the matrices below, but on a GPU its gradient is not deterministic."""
    matrix = torch.diag_embed((1 / scale).expand(-1, 2))
    matrix = torch.cat([matrix, (-centre / scale)[:, :, None]], dim=2)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    sampled = F.grid_sample(images, grid, align_corners=False)
    whole = scale == 1
    return torch.where(whole[:, :, None, None], images, sampled) if bool(whole.any()) else sampled


def _interpolation(size: int, scale: Tensor, centre: Tensor) -> Tensor:
    """N x size x size: row i holds the bilinear weights with which pixel i of the canvas reads a side of the image."""
    pixels = torch.arange(size, device=scale.device, dtype=scale.dtype)
    middle = (size - 1) / 2
    places = (pixels - middle - centre * size / 2) / scale + middle
    return F.relu(1 - (places[:, :, None] - pixels).abs())
