"""Input diversity: each step sees the image at another random size and place (DI-FGSM, Xie et al., CVPR 2019)."""

from dataclasses import dataclass

import torch
from torch import Tensor

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
