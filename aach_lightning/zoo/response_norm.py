"""Local response normalisation across channels, with a gradient written out: a few images at a time, little memory."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_PART = 2**20  # values: on a CPU the handful of passes over so many stay near the cores


class CrossChannelNorm(nn.Module):
    """Local response normalisation as MatConvNet defines it: y_c = x_c / (kappa + alpha sum_d x_d^2)^beta.

    The sum runs over the `size` channels around c and is not divided by `size`, unlike in torch.nn.LocalResponseNorm,
    whose average pooling also has no deterministic gradient on CUDA. It is worked out in float32 at least. Its gradient
    cannot be differentiated again.

    Args:
        size: Channels in the window, odd and at least 3.
        kappa: Offset.
        alpha: Factor of the sum of squares.
        beta: Exponent.

    Shapes: N x C x H x W float -> the same.

    Raises:
        ValueError: If the size of the window is even or too small.
    """

    def __init__(self, size: int, kappa: float, alpha: float, beta: float) -> None:
        super().__init__()
        if size < 3 or size % 2 == 0:
            raise ValueError(f"CrossChannelNorm: size must be odd and at least 3, got {size}")
        self.size, self.kappa, self.alpha, self.beta = size, kappa, alpha, beta

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise."""
        normalise: Callable[..., Tensor] = _Normalise.apply
        return normalise(maps, self.size, self.kappa, self.alpha, self.beta)


class _Normalise(torch.autograd.Function):
    """With s = kappa + alpha sum_d x_d^2: y = x s^-beta, and dx = g s^-beta - 2 alpha beta x sum_d (g_d y_d / s_d)."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, size: int, kappa: float, alpha: float, beta: float) -> Tensor:
        wide = torch.promote_types(maps.dtype, torch.float32)
        out, scale = torch.empty_like(maps), torch.empty_like(maps, dtype=wide)
        window = _Window(maps, size, wide)
        for part in window.parts:
            values, sums = maps[part].to(wide), scale[part]
            torch.mul(values, values, out=window.centre(len(values)))
            window.add_up(sums).mul_(alpha).add_(kappa)
            torch.mul(values, sums.pow(-beta), out=out[part])
        ctx.save_for_backward(maps, out, scale)
        ctx.window, ctx.alpha, ctx.beta = window, alpha, beta
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        maps, out, scale = ctx.saved_tensors
        window: _Window = ctx.window
        result = torch.empty_like(maps)
        sums = torch.empty_like(scale[: window.images])
        for part in window.parts:
            above, divisor = gradient[part].to(scale.dtype), scale[part]
            torch.mul(above, out[part], out=window.centre(len(above))).div_(divisor)
            around = window.add_up(sums[: len(above)])
            direct = divisor.pow(-ctx.beta).mul_(above)
            torch.addcmul(direct, around, maps[part], value=-2 * ctx.alpha * ctx.beta, out=result[part])
        return result, None, None, None, None


class _Window:
    """Sums over neighbouring channels, through a buffer with zeros around the channels that serves every part.

    Attributes:
        images: Number of images in a part.
        parts: Slices of the batch that are worked on one after the other.
    """

    def __init__(self, maps: Tensor, size: int, dtype: torch.dtype) -> None:
        self.size, self.channels = size, maps.shape[1]
        most = len(maps) if maps.is_cuda else _PART // max(1, maps.shape[1:].numel())
        self.images = max(1, min(most, len(maps)))
        self.parts = [slice(first, first + self.images) for first in range(0, len(maps), self.images)]
        shape = (self.images, self.channels + size - 1, *maps.shape[2:])
        last = maps.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        self.buffer = torch.empty(shape, dtype=dtype, device=maps.device, memory_format=layout).zero_()

    def centre(self, images: int) -> Tensor:
        """Where to write the values of some images: a view, images x C x H x W."""
        return self.buffer[:images, self.size // 2 : self.size // 2 + self.channels]

    def add_up(self, out: Tensor) -> Tensor:
        """For each channel the sum over the window around it, into `out`."""
        padded = self.buffer[: len(out)]
        torch.add(padded[:, : self.channels], padded[:, 1 : 1 + self.channels], out=out)
        for first in range(2, self.size):
            out.add_(padded[:, first : first + self.channels])
        return out
