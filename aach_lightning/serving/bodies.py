"""The bodies of requests: JSON to tensors, and codes to JSON."""

import base64
import binascii
import io
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from aach_lightning.serving.request_error import RequestError
from aach_lightning.serving.system import System

_MODES = ("RGB", "L", "P")  # 8 bits a channel, no transparency: nothing has to be guessed


@dataclass
class ImagesBody:
    """Images.

    Attributes:
        images: base64 of PNG or JPEG files of the size that the service says under /v1/about.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    images: list[str]


@dataclass
class TextsBody:
    """Texts.

    Attributes:
        floats: base64 of N x D little-endian float32.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    floats: str


@dataclass
class CodesBody:
    """Answer to both.

    Attributes:
        codes: N strings of K characters: 1 for +1, 0 for -1.
    """

    codes: list[str]


def read_images(body: ImagesBody, system: System, most: int) -> Tensor:
    """Decode at most `most` images of the size that `system` takes.

    Returns:
        uint8, N x 3 x H x H.

    Raises:
        RequestError: 400 for base64 that is none, 413 for too many images, 422 for images of another size or kind.
    """
    _check_count(len(body.images), most)
    size = system.about.image_size
    decoded = [_decode_image(f"image {row}", data, size) for row, data in enumerate(body.images)]
    return torch.from_numpy(np.stack(decoded))


def read_texts(body: TextsBody, system: System, most: int) -> Tensor:
    """Read at most `most` text vectors of the width that `system` takes.

    Returns:
        float32, N x D, finite.

    Raises:
        RequestError: 400 for base64 that is none, 413 for too many texts, 422 for another width or values not finite.
    """
    raw, width = _decode_base64("floats", body.floats), system.about.text_width
    if len(raw) % (4 * width):
        allowed = f"{4 * width} (4 x {width}) for each text"
        raise RequestError(422, "wrong_width", f"floats has {len(raw)} bytes, which is no multiple of {allowed}")
    _check_count(len(raw) // (4 * width), most)
    vectors = np.frombuffer(raw, "<f4").reshape(-1, width).astype(np.float32)
    if not np.isfinite(vectors).all():
        raise RequestError(422, "not_finite", "text vectors must be finite, got NaN or infinity")
    return torch.from_numpy(vectors)


def _check_count(count: int, most: int) -> None:
    if count == 0:
        raise RequestError(422, "empty", "nothing was asked: at least one item is needed")
    if count > most:
        raise RequestError(413, "too_many", f"{count} items in one request, at most {most} are allowed")


def _decode_base64(what: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(400, "bad_base64", f"{what} is not base64: {error}") from error


def _decode_image(what: str, text: str, size: int) -> NDArray[np.uint8]:
    data = _decode_base64(what, text)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if image.size != (size, size):  # known from the header: nothing large is ever decoded
                found = f"{image.width} x {image.height}"
                raise RequestError(422, "wrong_size", f"{what} has {found} pixels, this service takes {size} x {size}")
            if image.mode not in _MODES or "transparency" in image.info:
                raise RequestError(422, "bad_image", f"{what} has mode {image.mode}: 8-bit RGB or grey is needed")
            pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (RequestError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise RequestError(422, "bad_image", f"{what} is neither PNG nor JPEG") from error
    except Exception as error:  # Pillow's decoders of damaged files raise almost anything
        raise RequestError(422, "bad_image", f"{what} is damaged: {error}") from error
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
