"""What is sent to a target, and the content keys that tell whether it was sent before."""

import hashlib
import struct

import numpy as np
import torch
from torch import Tensor

from aach_lightning.targets.records import KEY_SIZE

# The first byte of a key says what was asked, the rest is the hash of the content.
PAIR, IMAGE, TEXT = b"P", b"I", b"T"


def image_levels(images: Tensor) -> Tensor:
    """Round images to 8 bits, as saving them as PNG does.

    Args:
        images: float32 in [0, 1], N x 3 x H x W, any device.

    Returns:
        uint8 in 0..255, N x 3 x H x W, on the CPU, without a gradient.

    Raises:
        ValueError: If dtype or shape is another, or a value lies more than half a level outside [0, 1] or is NaN.

    Example:
        >>> image_levels(torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)).flatten()
        tensor([  0, 128, 255], dtype=torch.uint8)
    """
    return _rounded(images).to(torch.uint8).cpu().contiguous()


def level_images(levels: Tensor, device: torch.device | str = "cpu") -> Tensor:
    """The images that a target decodes: levels / 255 as float32 in [0, 1], same shape, on `device`."""
    return levels.to(device).float().div_(255.0)


def round_to_8_bits(images: Tensor) -> Tensor:
    """Images as a target sees them, float32 multiples of 1/255, on their own device; arguments as `image_levels`.

    Example:
        >>> round_to_8_bits(torch.full((1, 3, 1, 1), 0.3)).flatten()[0] * 255
        tensor(76.)
    """
    return _rounded(images).div_(255.0)


def checked_texts(texts: Tensor) -> Tensor:
    """Texts as they are sent, unchanged: float32, N x D, on the CPU, without a gradient.

    Raises:
        ValueError: If dtype or shape is another, or a value is not finite.
    """
    if texts.dtype != torch.float32 or texts.ndim != 2:
        raise ValueError(f"texts must be float32 of shape N x D, got {texts.dtype} of shape {tuple(texts.shape)}")
    if not bool(torch.isfinite(texts).all()):
        raise ValueError("texts must be finite, got NaN or infinity")
    return texts.detach().cpu().contiguous()


def pair_keys(levels: Tensor, texts: Tensor) -> list[bytes]:
    """Keys of N pairs: BLAKE2b of shapes, 8-bit image and float32 text, KEY_SIZE bytes each.

    Args:
        levels: uint8, N x 3 x H x W, from `image_levels`.
        texts: float32, N x D, from `checked_texts`.

    Raises:
        ValueError: If the numbers of images and texts differ.
    """
    if len(levels) != len(texts):
        raise ValueError(f"a pair is an image and a text, got {len(levels)} images and {len(texts)} texts")
    return _keys(PAIR, levels, texts)


def image_keys(levels: Tensor) -> list[bytes]:
    """Keys of N images asked alone, from uint8 N x 3 x H x W."""
    return _keys(IMAGE, levels)


def text_keys(texts: Tensor) -> list[bytes]:
    """Keys of N texts asked alone, from float32 N x D."""
    return _keys(TEXT, texts)


def _rounded(images: Tensor) -> Tensor:
    if images.dtype != torch.float32 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"images must be float32 of shape N x 3 x H x W, got {images.dtype} of shape {tuple(images.shape)}"
        )
    levels = images.detach().mul(255.0).round_()
    low, high = levels.aminmax() if levels.numel() else (0, 255)
    if not (low >= 0 and high <= 255):  # so that NaN is refused too
        raise ValueError(f"images must lie in [0, 1], got values from {low / 255} to {high / 255}")
    return levels


def _keys(form: bytes, *parts: Tensor) -> list[bytes]:
    arrays = [part.numpy().astype(np.dtype(part.numpy().dtype).newbyteorder("<"), copy=False) for part in parts]
    shapes = b"".join(struct.pack(f"<{array.ndim - 1}q", *array.shape[1:]) for array in arrays)
    keys = []
    for row in range(len(arrays[0])):
        state = hashlib.blake2b(shapes, digest_size=KEY_SIZE - 1, person=form)
        for array in arrays:
            state.update(array[row].tobytes())
        keys.append(form + state.digest())
    return keys
