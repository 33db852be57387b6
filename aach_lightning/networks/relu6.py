"""ReLU6 whose gradient needs its output alone, and that can leave room for the next convolution's padding."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def relu6(maps: Tensor, before: int = 0, after: int = 0) -> Tensor:
    """min(max(x, 0), 6), with rows and columns of zeros around it.

    Torch's own keeps a copy of its input for the gradient, even in place, and padding is a further copy in either
    direction. This one's gradient cannot be differentiated again.

    Args:
        maps: float, N x C x H x W; overwritten where nothing is padded.
        before: Zeros at the top and at the left.
        after: Zeros at the bottom and at the right.

    Returns:
        N x C x (before + H + after) x (before + W + after).
    """
    activate: Callable[..., Tensor] = _ReLU6.apply
    activate_and_pad: Callable[..., Tensor] = _PaddedReLU6.apply
    return activate_and_pad(maps, before, after) if before or after else activate(maps)


def _gradient(gradient: Tensor, out: Tensor) -> Tensor:
    return cast(Tensor, torch.ops.aten.hardtanh_backward(gradient, out, 0.0, 6.0))


class _ReLU6(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        ctx.mark_dirty(maps)
        maps.clamp_(0.0, 6.0)
        ctx.save_for_backward(maps)
        return maps

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (out,) = ctx.saved_tensors
        return _gradient(gradient, out)


class _PaddedReLU6(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, before: int, after: int) -> Tensor:
        count, channels, height, width = maps.shape
        last = maps.is_contiguous(memory_format=torch.channels_last)
        padded = torch.empty(
            (count, channels, before + height + after, before + width + after),
            dtype=maps.dtype,
            device=maps.device,
            memory_format=torch.channels_last if last else torch.contiguous_format,
        )
        for dim, size in ((2, height), (3, width)):
            padded.narrow(dim, 0, before).zero_()
            padded.narrow(dim, before + size, after).zero_()
        ctx.inside = (..., slice(before, before + height), slice(before, before + width))
        torch.clamp(maps, 0.0, 6.0, out=padded[ctx.inside])
        ctx.save_for_backward(padded)
        return padded

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (padded,) = ctx.saved_tensors
        return _gradient(gradient[ctx.inside], padded[ctx.inside]), None, None
