"""CNN-F ("VGG-F"), the image backbone of most published cross-modal hashing results."""

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from aach_lightning.errors import CheckpointError
from aach_lightning.networks.image_shape import check_image_shape
from aach_lightning.zoo.image_conv import convolve_image
from aach_lightning.zoo.matconvnet import read_matconvnet
from aach_lightning.zoo.response_norm import CrossChannelNorm

RESPONSE_NORM = (5, 2.0, 1e-4, 0.75)
IMAGENET_MEAN = (123.68, 116.779, 103.939)
WEIGHTS_SIZE = 224


class CNNF(nn.Module):
    """CNN-F of Chatfield et al. (BMVC 2014, table 1) up to full7: five convolutions, two fully connected layers.

    Args:
        image_size: Height and width of the images; at least 39, below which a map vanishes. 224 in the literature.
        weights: Path of `imagenet-vgg-f.mat` as released with MatConvNet, for image_size 224; None for random weights
            (He et al., ICCV 2015).

    Attributes:
        width: 4096.
        average: Average image that is subtracted, 3 x image_size x image_size in [0, 255]; that of the file, or the
            mean colour of ImageNet.

    Shapes: images N x 3 x image_size x image_size, float in [0, 1], RGB -> N x 4096, float >= 0.

    Raises:
        ValueError: If image_size is too small, or not 224 though weights are given; in forward, if images have another
            shape.
        CheckpointError: If `weights` cannot be read or belongs to another network.
    """

    width = 4096
    average: Tensor

    def __init__(self, *, image_size: int, weights: str | Path | None = None) -> None:
        super().__init__()
        if weights is not None and image_size != WEIGHTS_SIZE:
            raise ValueError(
                f"CNNF: the layer full6 of {weights} fits images of {WEIGHTS_SIZE} x {WEIGHTS_SIZE} only, got "
                f"image_size={image_size}; use {WEIGHTS_SIZE}, or weights=null for random weights"
            )
        last = _last_map(image_size)
        self.image_size = image_size
        self.conv1 = nn.Conv2d(3, 64, 11, stride=4)
        self.conv2 = nn.Conv2d(64, 256, 5, padding=2)
        self.conv3 = nn.Conv2d(256, 256, 3, padding=1)
        self.conv4 = nn.Conv2d(256, 256, 3, padding=1)
        self.conv5 = nn.Conv2d(256, 256, 3, padding=1)
        self.full6 = nn.Conv2d(256, 4096, last)  # over the whole map, which it reads as it lies: channels last
        self.full7 = nn.Linear(4096, self.width)
        self.norm = CrossChannelNorm(*RESPONSE_NORM)
        # MatConvNet pads pooling by one row and column at the end; that is torch's ceil mode.
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("average", torch.tensor(IMAGENET_MEAN)[:, None, None].repeat(1, image_size, image_size))
        if weights is None:
            for layer in self._layers():
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(cast(Tensor, layer.bias))
        else:
            self._load(Path(weights))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        """Features of images in [0, 1]: N x 4096."""
        check_image_shape(images, self.image_size, "CNNF")
        # The scale of the images goes into the kernel, which is small.
        maps = convolve_image(images - self.average / 255, self.conv1.weight * 255, self.conv1.bias, stride=4)
        maps = self.pool(self.norm(maps.relu_()))
        maps = self.pool(self.norm(self.conv2(maps).relu_()))
        maps = self.conv3(maps).relu_()
        maps = self.conv4(maps).relu_()
        maps = self.pool(self.conv5(maps).relu_())
        features = self.dropout(self.full6(maps).flatten(1).relu_())
        return cast(Tensor, self.dropout(self.full7(features).relu_()))

    def _layers(self) -> tuple[nn.Conv2d | nn.Linear, ...]:
        return self.conv1, self.conv2, self.conv3, self.conv4, self.conv5, self.full6, self.full7

    @torch.no_grad()
    def _load(self, path: Path) -> None:
        model = read_matconvnet(path)
        layers = self._layers()
        # H x W x I x O; the fully connected layers are stored as convolutions over the whole map.
        expected = [tuple(layer.weight.permute(2, 3, 1, 0).shape) for layer in layers[:6]] + [(1, 1, 4096, 4096)]
        found = [convolution.filters.shape for convolution in model.convolutions]
        # The eighth layer is the classifier of ImageNet, which is not used.
        if found[:7] != expected or len(found) not in (7, 8):
            raise CheckpointError(f"{path} is not CNN-F: its filters are {found}, allowed are {expected} + classifier")
        if any(not torch.allclose(torch.tensor(p), torch.tensor(RESPONSE_NORM)) for p in model.response_norms):
            raise CheckpointError(f"{path} normalises with {model.response_norms}, CNN-F with {RESPONSE_NORM}")
        average = model.average_image
        if average is None or average.shape not in ((WEIGHTS_SIZE, WEIGHTS_SIZE, 3), (1, 1, 3)):
            raise CheckpointError(
                f"{path}: normalization.averageImage must be {WEIGHTS_SIZE} x {WEIGHTS_SIZE} x 3 or 1 x 1 x 3, "
                f"got {None if average is None else average.shape}"
            )
        for layer, convolution in zip(layers, model.convolutions, strict=False):
            filters = torch.from_numpy(convolution.filters).permute(3, 2, 0, 1)
            layer.weight.copy_(filters.reshape(layer.weight.shape))
            cast(Tensor, layer.bias).copy_(torch.from_numpy(convolution.biases))
        self.average.copy_(torch.from_numpy(average).permute(2, 0, 1))


def _last_map(image_size: int) -> int:
    """Height and width of the map before full6."""
    size = (image_size - 11) // 4 + 1
    for _ in range(3):
        size = -(-(size - 3) // 2) + 1
    if size < 1:
        raise ValueError(f"CNNF: image_size must be at least 39, or a map vanishes; got {image_size}")
    return size
