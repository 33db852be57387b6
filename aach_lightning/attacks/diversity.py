"""Input diversity: each step sees the image at another random size and place (DI-FGSM, Xie et al., CVPR 2019)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.runtime.seeding import torch_generator


@dataclass(frozen=True)
class InputDiversity:
    """Random resize and pad, drawn for each item and step from (seed, id): no item's draw depends on its batch.

    Attributes:
        probability: Share of steps in which an item is transformed, in [0, 1].
        smallest: Smallest size of the shrunk image as a share of the side, in (0, 1].
        seed: Base seed.
    """

    probability: float
    smallest: float
    seed: int

    def draw(self, ids: Tensor, steps: int) -> Tensor:
        """Draw the transformations of all steps: float32, steps x N x 3, each row (scale, horizontal, vertical shift).

        Scale lies in [smallest, 1]; shifts are positions of the centre in [-1, 1] that keep the image inside.
        """
        draws = torch.stack(
            [
                torch.rand(steps, 4, generator=torch_generator(self.seed, "diversity", item), dtype=torch.float64)
                for item in ids.tolist()
            ],
            dim=1,
        )
        used = draws[..., 0] < self.probability
        scale = torch.where(used, self.smallest + (1 - self.smallest) * draws[..., 1], 1.0)
        shift = (2 * draws[..., 2:] - 1) * (1 - scale)[..., None]
        return torch.cat([scale[..., None], shift], dim=-1).float()


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
