"""The one check that all image backbones share: images have the size that the backbone was built for."""

from torch import Tensor


def check_image_shape(images: Tensor, image_size: int, network: str) -> None:
    """Refuse images of another shape than N x 3 x image_size x image_size.

    Raises:
        ValueError: Naming `network`, the shape received and the shape allowed.
    """
    if images.ndim != 4 or images.shape[1:] != (3, image_size, image_size):
        raise ValueError(
            f"{network} was built for images of shape N x 3 x {image_size} x {image_size}, got {tuple(images.shape)}; "
            "set image_size to the size of the data"
        )
