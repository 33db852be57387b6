"""SmallCNN: a few convolutions for tests, demonstrations and procedural images."""

from torch import Tensor, nn

from aach_lightning.networks.image_shape import check_image_shape


class SmallCNN(nn.Module):
    """Four 3 x 3 convolutions of stride 2, each with group normalisation and ReLU, then an average over positions.

    Group normalisation treats every image by itself: results depend neither on the batch nor on how many processes
    share it.

    Args:
        image_size: Height and width of the images; at least 16, so that the last map has a position.
        width: Channels of the last convolution; the others have 1/8, 1/4 and 1/2 of it. A multiple of 32.

    Attributes:
        width: As given.

    Shapes: images N x 3 x image_size x image_size, float in [0, 1] -> N x width, float >= 0.

    Raises:
        ValueError: If an argument is out of range; in forward, if images have another shape.

    Example:
        >>> import torch
        >>> SmallCNN(image_size=32, width=64)(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 64])
    """

    def __init__(self, *, image_size: int, width: int = 128) -> None:
        super().__init__()
        if image_size < 16:
            raise ValueError(f"SmallCNN: image_size must be at least 16, got {image_size}")
        if width < 32 or width % 32:
            raise ValueError(f"SmallCNN: width must be a positive multiple of 32, got {width}")
        self.image_size = image_size
        self.width = width
        layers: list[nn.Module] = []
        channels = 3
        for out in (width // 8, width // 4, width // 2, width):
            layers += [nn.Conv2d(channels, out, 3, stride=2, padding=1, bias=False), nn.GroupNorm(4, out), nn.ReLU()]
            channels = out
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Features of images in [0, 1]: N x width."""
        check_image_shape(images, self.image_size, "SmallCNN")
        maps: Tensor = self.layers((images - 0.5) / 0.25)
        return maps.mean(dim=(2, 3))
