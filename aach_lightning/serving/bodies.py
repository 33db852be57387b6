"""The bodies of requests: JSON to tensors, and codes to JSON."""

import base64
import binascii
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from aach_lightning.data.vocabulary import bag_of_words
from aach_lightning.serving.request_error import RequestError

_MODES = ("RGB", "L", "P")  # 8 bits a channel, no transparency: nothing has to be guessed


@dataclass
class ImagesBody:
    """Images, in one of two forms.

    Attributes:
        images: base64 of PNG or JPEG files of the size that the service says under /v1/about.
        levels: base64 of N x 3 x H x W bytes, the 8-bit levels.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    images: list[str] | None = None
    levels: str | None = None


@dataclass
class TextsBody:
    """Texts, in one of three forms.

    Attributes:
        texts: Sentences or tags, read as bags of words by the vocabulary of the service.
        vectors: N lists of D numbers.
        floats: base64 of N x D little-endian float32.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    texts: list[str] | None = None
    vectors: list[list[float]] | None = None
    floats: str | None = None


@dataclass
class CodesBody:
    """Answer to both.

    Attributes:
        codes: N strings of K characters: 1 for +1, 0 for -1.
    """

    codes: list[str]


def read_images(body: ImagesBody, size: int, most: int) -> Tensor:
    """Decode images.

    Args:
        body: The request.
        size: Height and width that are served.
        most: Images that one request may hold.

    Returns:
        uint8, N x 3 x size x size.

    Raises:
        RequestError: 400 for base64 that is none, 413 for too many images, 422 for images of another size or kind.
    """
    _one_of(body)
    if body.images is not None:
        _check_count(len(body.images), most)
        decoded = [_decode_image(row, data, size) for row, data in enumerate(body.images)]
        return torch.from_numpy(np.stack(decoded))
    raw = _decode_base64("levels", body.levels or "")
    each = 3 * size * size
    if len(raw) % each:
        allowed = f"{each} (3 x {size} x {size}) for each image"
        raise RequestError(422, "wrong_size", f"levels has {len(raw)} bytes, which is no multiple of {allowed}")
    _check_count(len(raw) // each, most)
    return torch.from_numpy(np.frombuffer(raw, np.uint8).reshape(-1, 3, size, size).copy())


def read_texts(body: TextsBody, width: int, words: Sequence[str] | None, most: int) -> Tensor:
    """Read texts.

    Args:
        body: The request.
        width: D, the length of a text vector.
        words: D words of the vocabulary; None where entries are no words.
        most: Texts that one request may hold.

    Returns:
        float32, N x D, finite.

    Raises:
        RequestError: 400 for base64 that is none, 413 for too many texts, 422 for another width or values not finite.
    """
    _one_of(body)
    if body.texts is not None:
        if words is None:
            raise RequestError(422, "no_vocabulary", "this service knows no words: send vectors")
        _check_count(len(body.texts), most)
        return torch.from_numpy(bag_of_words(body.texts, words).astype(np.float32))
    if body.vectors is not None:
        _check_count(len(body.vectors), most)
        for row, vector in enumerate(body.vectors):
            if len(vector) != width:
                raise RequestError(
                    422, "wrong_width", f"vector {row} has {len(vector)} entries, this service has {width}"
                )
        with np.errstate(over="ignore"):  # too large for float32: refused below as what it becomes
            vectors = np.array(body.vectors, np.float64).astype(np.float32)
    else:
        raw = _decode_base64("floats", body.floats or "")
        if len(raw) % (4 * width):
            allowed = f"{4 * width} (4 x {width}) for each text"
            raise RequestError(422, "wrong_width", f"floats has {len(raw)} bytes, which is no multiple of {allowed}")
        _check_count(len(raw) // (4 * width), most)
        vectors = np.frombuffer(raw, "<f4").reshape(-1, width).astype(np.float32)
    if not np.isfinite(vectors).all():
        raise RequestError(
            422, "not_finite", "text vectors must be finite float32, got NaN, infinity or a larger number"
        )
    return torch.from_numpy(vectors)


def code_strings(codes: Tensor) -> list[str]:
    """Codes, int8 in {-1, +1}, N x K, as strings of 1 and 0.

    Example:
        >>> code_strings(torch.tensor([[1, -1, -1]], dtype=torch.int8))
        ['100']
    """
    digits = np.where(codes.numpy() > 0, ord("1"), ord("0")).astype(np.uint8)
    return [row.tobytes().decode("ascii") for row in digits]


def _one_of(body: ImagesBody | TextsBody) -> None:
    given = [name for name, value in vars(body).items() if value is not None]
    if len(given) != 1:
        names = ", ".join(vars(body))
        raise RequestError(422, "one_form", f"send exactly one of {names}; got {', '.join(given) or 'none'}")


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


def _decode_image(row: int, text: str, size: int) -> NDArray[np.uint8]:
    data = _decode_base64(f"image {row}", text)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if image.size != (size, size):  # known from the header: nothing large is ever decoded
                found = f"{image.width} x {image.height}"
                raise RequestError(
                    422, "wrong_size", f"image {row} has {found} pixels, this service takes {size} x {size}"
                )
            if image.mode not in _MODES or "transparency" in image.info:
                raise RequestError(422, "bad_image", f"image {row} has mode {image.mode}: 8-bit RGB or grey is needed")
            pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (RequestError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise RequestError(422, "bad_image", f"image {row} is neither PNG nor JPEG") from error
    except Exception as error:  # Pillow's decoders of damaged files raise almost anything
        raise RequestError(422, "bad_image", f"image {row} is damaged: {error}") from error
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
