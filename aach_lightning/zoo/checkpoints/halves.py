"""What a format makes of its files: two networks, and how they want their inputs."""

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.zoo.checkpoints.convention import Convention, InputConversion


@dataclass(frozen=True)
class Halves:
    """Two networks from files.

    Attributes:
        image: Images as `convention` has them, N x 3 x H x W -> N x K; relaxed codes, whose sign is the code.
        text: Texts N x D -> N x K.
        code_length: K; None where the files do not say it.
        text_width: D; None likewise.
        average: float32 in [0, 255], 3 x H x W, RGB: average image of the files; None where there is none.
    """

    image: nn.Module
    text: nn.Module
    code_length: int | None
    text_width: int | None
    average: Tensor | None = None


class ImageHalf(nn.Module):
    """The image half as this package calls it: images in [0, 1] through the conversion into the network.

    Args:
        conversion: To what `network` reads.
        network: Converted images to relaxed codes.
        average: As in `Halves`, for another conversion.
    """

    def __init__(self, conversion: InputConversion, network: nn.Module, average: Tensor | None) -> None:
        super().__init__()
        self.conversion, self.network, self.average = conversion, network, average

    def forward(self, images: Tensor) -> Tensor:
        """Relaxed codes: N x 3 x H x W -> N x K."""
        return cast(Tensor, self.network(self.conversion(images)))


def joined(halves: Halves, convention: Convention, code_length: int) -> HashingNetwork:
    """One network of both halves, in eval mode."""
    image = ImageHalf(InputConversion(convention, halves.average), halves.image, halves.average)
    return HashingNetwork(image, halves.text, code_length).eval()


def with_convention(network: HashingNetwork, convention: Convention) -> HashingNetwork:
    """The same network, whose image half gets its images otherwise; parameters are shared.

    Raises:
        TypeError: If the network is not from files.
    """
    half = network.image
    if not isinstance(half, ImageHalf):
        raise TypeError(f"the image half is a {type(half).__name__}, not one from files")
    image = ImageHalf(InputConversion(convention, half.average), half.network, half.average)
    return HashingNetwork(image, network.text, network.code_length).eval()
