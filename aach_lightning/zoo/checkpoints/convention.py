"""How a network of somebody else wants its images, as data, and the step that brings them there."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from aach_lightning.config.choices import ConventionName
from aach_lightning.networks.image_shape import check_image_shape

IMAGENET_COLOUR = (123.68, 116.779, 103.939)  # mean of ImageNet on the scale 0 to 255


@dataclass(frozen=True)
class Convention:
    """What becomes of an image in [0, 1], RGB, 3 x H x W: (value * scale - mean) / std, in another order of axes.

    Attributes:
        scale: 1 for networks that read [0, 1], 255 for those that read levels.
        mean: Of each channel, R, G, B, on that scale. An average image, where a file has one, takes its place.
        std: Likewise.
        bgr: Channels in the order B, G, R.
        transposed: Width before height, as packs of MATLAB arrive in Python when nobody turns their axes back.
    """

    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    bgr: bool = False
    transposed: bool = False

    def __str__(self) -> str:
        """In words."""
        parts = ["levels 0 to 255" if self.scale == 255 else "[0, 1]", "BGR" if self.bgr else "RGB"]
        if any(self.mean):
            parts.append("minus " + ", ".join(f"{value:g}" for value in self.mean))
        if self.std != (1.0, 1.0, 1.0):
            parts.append("over " + ", ".join(f"{value:g}" for value in self.std))
        return "; ".join([*parts, "width first"] if self.transposed else parts)


CONVENTIONS: dict[ConventionName, Convention] = {
    ConventionName.unit: Convention(),
    ConventionName.signed: Convention(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    ConventionName.imagenet: Convention(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    ConventionName.clip: Convention(mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)),
    ConventionName.levels: Convention(scale=255.0),
    ConventionName.centred: Convention(scale=255.0, mean=IMAGENET_COLOUR),
    ConventionName.caffe: Convention(scale=255.0, mean=IMAGENET_COLOUR, bgr=True),
}


def chosen_convention(own: Convention, name: ConventionName, transposed: bool | None) -> Convention:
    """That of a format, or another one by name; the order of axes is that of the format unless it is given.

    Example:
        >>> print(chosen_convention(CONVENTIONS[ConventionName.imagenet], ConventionName.levels, True))
        levels 0 to 255; RGB; width first
    """
    found = own if name is ConventionName.own else replace(CONVENTIONS[name], transposed=own.transposed)
    return found if transposed is None else replace(found, transposed=transposed)


class InputConversion(nn.Module):
    """Images of this package to those of a network, differentiably.

    Args:
        convention: What the network reads.
        average: float32 in [0, 255], RGB, 3 x H x W: takes the place of a mean colour that the convention subtracts
            from levels in this order. None for that colour.

    Shapes: images N x 3 x H x W, float in [0, 1], RGB -> N x 3 x H x W, or N x 3 x W x H.

    Raises:
        ValueError: In forward, if images have not the size of the average image.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, convention: Convention, average: Tensor | None = None) -> None:
        super().__init__()
        self.convention = convention
        fits = convention.scale == 255 and any(convention.mean) and not convention.bgr
        self.size = None if average is None or not fits or average.shape[-1] == 1 else average.shape[-1]
        mean = average if average is not None and fits else torch.tensor(convention.mean)[:, None, None]
        self.register_buffer("mean", mean.float())
        self.register_buffer("std", torch.tensor(convention.std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Convert."""
        if self.size is not None:
            check_image_shape(images, self.size, "the average image of the network")
        converted = (images * self.convention.scale - self.mean) / self.std
        ordered = converted.flip(1) if self.convention.bgr else converted
        return ordered.transpose(2, 3) if self.convention.transposed else ordered
