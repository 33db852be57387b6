"""ResNet (He et al., CVPR 2016) up to its pooled features, with the names and sizes of a file."""

from typing import cast

from torch import Tensor, nn

from aach_lightning.zoo.checkpoints.weights import Weights

_STAGES = (4, 5, 6, 7)  # places in the nn.Sequential; 0 and 1 are the stem, 2, 3 and 8 have no weights


def _convolution(weights: Weights, name: str, stride: int, padding: int) -> nn.Conv2d:
    out, channels, height, width = weights.shape(f"{name}.weight", 4)
    return nn.Conv2d(channels, out, (height, width), stride, padding, bias=False)


class ResidualBlock(nn.Module):
    """A block of two convolutions, or of three; the stride is that of the first, or the second, with 3 x 3 pixels."""

    def __init__(self, weights: Weights, stride: int) -> None:
        super().__init__()
        wide = [weights.shape(f"conv{number}.weight", 4)[2] for number in weights.numbers("conv")]
        strided = wide.index(max(wide))
        self.count = len(wide)
        for place, side in enumerate(wide):
            convolution = _convolution(weights, f"conv{place + 1}", stride if place == strided else 1, side // 2)
            self.add_module(f"conv{place + 1}", convolution)
            self.add_module(f"bn{place + 1}", nn.BatchNorm2d(convolution.out_channels))
        self.downsample: nn.Module = nn.Identity()
        if "downsample.0.weight" in weights:
            shortcut = _convolution(weights, "downsample.0", stride, 0)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(shortcut.out_channels))

    def forward(self, maps: Tensor) -> Tensor:
        """N x C x H x W -> N x C' x H' x W'."""
        found = maps
        for number in range(1, self.count + 1):
            found = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(found))
            found = found.relu() if number < self.count else found
        return (found + cast(Tensor, self.downsample(maps))).relu()


def resnet_layers(weights: Weights) -> nn.Sequential:
    """Stem, four stages and average pooling.

    Args:
        weights: Names such as 0.weight and 4.0.conv1.weight.

    Shapes: images N x 3 x H x W -> N x F x 1 x 1, float >= 0.

    Raises:
        CheckpointError: If a layer is missing.
    """
    stem = _convolution(weights, "0", 2, weights.shape("0.weight", 4)[2] // 2)
    stages = []
    for place in _STAGES:
        part = weights.below(f"{place}.")
        strides = [1 if number or place == _STAGES[0] else 2 for number in part.numbers("")]
        stages.append(nn.Sequential(*(ResidualBlock(part.below(f"{n}."), it) for n, it in enumerate(strides))))
    return nn.Sequential(
        *(stem, nn.BatchNorm2d(stem.out_channels), nn.ReLU(), nn.MaxPool2d(3, 2, 1)), *stages, nn.AdaptiveAvgPool2d(1)
    )
