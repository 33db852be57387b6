"""Fewer levels a channel (feature squeezing, Xu et al., NDSS 2018)."""

from torch import Tensor, nn

from aach_lightning.networks.defences.straight_through import straight_through


class BitDepth(nn.Module):
    """Rounds each channel of each pixel to the nearest of 2^bits even levels from 0 to 1; the stand-in is the identity.

    Args:
        bits: 1 to 8; at 8 images with 8 bits stay as they are.

    Shapes: images N x 3 x H x W, float in [0, 1] -> the same.

    Example:
        >>> import torch
        >>> BitDepth(bits=1)(torch.tensor([0.2, 0.6]))
        tensor([0., 1.])
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, images: Tensor) -> Tensor:
        """Defended images."""
        steps = 2**self.bits - 1
        return straight_through((images.detach() * steps).round() / steps, images)
