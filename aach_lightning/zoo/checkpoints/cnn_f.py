"""CNN-F as PyTorch re-implementations of cross-modal hashing have it, which is not quite that of MatConvNet.

Read in public code (DCMH; CPAH and DGCPN as attacked in targeted attacks): the convolutions at places 0, 5, 9, 11, 13,
16 and 18 of an nn.Sequential, a response normalisation over two channels (torch divides by their number) where
MatConvNet has five, a first pool that is padded by one row and column at the end, in some versions by one more all
around; filters of `imagenet-vgg-f.mat` with all four axes reversed, so that width and height change places, and its
average image reversed likewise. Inferred: so do images, as packs of MATLAB v7.3 reach Python with reversed axes.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aach_lightning.errors import CheckpointError
from aach_lightning.zoo.checkpoints.weights import Weights
from aach_lightning.zoo.matconvnet import read_matconvnet

PLACES = (0, 5, 9, 11, 13, 16, 18)
_ALPHA, _BETA, _OFFSET = 1e-4, 0.75, 2.0


class PairResponseNorm(nn.Module):
    """Local response normalisation over each channel and the one before it, as torch's of size 2 and k = 2 does it.

    Written with sums of slices: the average pooling of torch's own has no deterministic gradient on CUDA.

    Shapes: N x C x H x W float -> the same.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise: x_c / (2 + alpha (x_c^2 + x_(c-1)^2) / 2)^beta."""
        squares = maps * maps
        mean = (squares + F.pad(squares[:, :-1], (0, 0, 0, 0, 1, 0))) / 2
        return maps / (_OFFSET + _ALPHA * mean) ** _BETA


def cnn_f_layers(weights: Weights, padded: bool = False) -> nn.Sequential:
    """The layers up to full7, of the widths that a file has.

    Args:
        weights: Names such as 0.weight.
        padded: Whether the first pool is padded all around too.

    Shapes: N x 3 x W x H, levels without their average -> N x F x 1 x 1, float >= 0, for 224 x 224.

    Raises:
        CheckpointError: If a layer is missing.
    """
    shapes = [weights.shape(f"{place}.weight", 4) for place in PLACES]
    convolutions = [
        nn.Conv2d(
            shape[1],
            shape[0],
            (shape[2], shape[3]),
            stride=4 if number == 0 else 1,
            padding=(0, 2, 1, 1, 1, 0, 0)[number],
        )
        for number, shape in enumerate(shapes)
    ]
    first, second, third, fourth, fifth, sixth, seventh = convolutions
    return nn.Sequential(
        *(first, nn.ReLU(), PairResponseNorm(), nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, 2, int(padded))),
        *(second, nn.ReLU(), PairResponseNorm(), nn.MaxPool2d(3, 2)),
        *(third, nn.ReLU(), fourth, nn.ReLU(), fifth, nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(sixth, nn.ReLU(), seventh, nn.ReLU()),
    )


def vgg_f_weights(path: Path) -> tuple[Weights, Tensor]:
    """Filters of `imagenet-vgg-f.mat` as those re-implementations lay them, and its average image as it is.

    Returns:
        Weights with names such as 0.weight; float32 in [0, 255], 3 x H x W, RGB.

    Raises:
        CheckpointError: If the file is another one.
    """
    model = read_matconvnet(path)
    if len(model.convolutions) not in (len(PLACES), len(PLACES) + 1) or model.average_image is None:
        raise CheckpointError(
            f"target.method.weights_file={path} must be imagenet-vgg-f.mat: {len(PLACES)} convolutions, perhaps a "
            f"classifier, and an average image; it has {len(model.convolutions)} and "
            f"{'no' if model.average_image is None else 'an'} average image"
        )
    tensors: dict[str, Tensor] = {}
    for place, convolution in zip(PLACES, model.convolutions, strict=False):
        tensors[f"{place}.weight"] = torch.from_numpy(convolution.filters.T.copy())
        tensors[f"{place}.bias"] = torch.from_numpy(convolution.biases)
    return Weights(tensors, path), torch.from_numpy(model.average_image.transpose(2, 0, 1).copy())
