"""Image files of any kind decoded through the cache; damaged ones are refused or left out."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from aach_lightning.data.cache import cached_images
from aach_lightning.data.decoding import ReadImage
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.texts import TextVectors
from aach_lightning.errors import DataError
from aach_lightning.runtime.files import digest

log = logging.getLogger(__name__)

MAX_PIXELS = 100_000_000
DECODER = "rgb-squash-bicubic-1"
"""Part of every cache key of decoded files: change it when `ReadFile` changes."""


@dataclass(frozen=True)
class ReadFile:
    """Decodes row r of `files` to uint8 3 x size x size: RGB, upright, squashed to a square as the field does."""

    files: tuple[Path | str, ...]
    size: int

    def __call__(self, row: int) -> NDArray[np.uint8]:
        """Decode one file.

        Raises:
            DataError: If the file is missing, damaged, or larger than MAX_PIXELS.
        """
        path = self.files[row]
        try:
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DataError(f"{path}: {image.width} x {image.height} pixels, more than {MAX_PIXELS:,} allowed")
                image.draft("RGB", (2 * self.size, 2 * self.size))
                upright = ImageOps.exif_transpose(image).convert("RGB")
                pixels = np.asarray(upright.resize((self.size, self.size), Image.Resampling.BICUBIC, reducing_gap=3.0))
        except (DataError, MemoryError):
            raise
        except Exception as error:  # Pillow's decoders of damaged files raise almost anything, struct.error among it
            raise DataError(f"{path}: {error}") from error
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))


@dataclass(frozen=True)
class DecodedImages:
    """What could be decoded of N images.

    Attributes:
        name: Name of the data set.
        key: Hash of their content and of how they are decoded.
        pixels: Read-only memory map, uint8 N x 3 x size x size; rows of damaged images are zero.
        keep: int64, the rows that could be read, ascending.
        skipped: How many could not.
    """

    name: str
    key: str
    pixels: NDArray[np.uint8]
    keep: NDArray[np.int64]
    skipped: int

    def pairs(
        self,
        names: Sequence[str],
        texts: TextVectors,
        labels: NDArray[np.uint8],
        label_names: tuple[str, ...],
        captions: Sequence[str],
        **others: Any,
    ) -> Pairs:
        """The K kept images as pairs, with the hash of their content.

        Args:
            names: K identifiers.
            texts: K text vectors.
            labels: uint8 in {0, 1}, K x C.
            label_names: C names.
            captions: K texts as a person wrote them.
            **others: Further fields of `Pairs`.
        """
        words = "\n".join((*names, *texts.words, *label_names)).encode("utf-8", "surrogatepass")
        content = (texts.vectors.data, labels.data)
        return Pairs(
            name=self.name,
            names=tuple(names),
            images=self.pixels,
            texts=texts.vectors,
            labels=labels,
            label_names=label_names,
            words=texts.words,
            text_low=texts.low,
            text_high=texts.high,
            captions=tuple(captions),
            image_rows=self.keep if self.skipped else None,
            skipped=self.skipped,
            **{"fingerprint": digest(self.key.encode(), self.keep.tobytes(), words, *content), **others},
        )


def decode_images(
    read: ReadImage | AbstractContextManager[ReadImage],
    count: int,
    *,
    key: str,
    size: int,
    on_damaged: str,
    name: str,
    place: str,
    cache: str,
) -> DecodedImages:  # eight: what decoding depends on, and what its messages say
    """Decode images once into the cache, or open what was decoded before.

    Args:
        read: Decodes one image, or a context that gives what does, entered only where something must be decoded.
        count: Number of images, N.
        key: Hash of the content of the images and of how they are decoded.
        size: Height and width in pixels.
        on_damaged: Stop at missing or damaged images, or leave them out and count them.
        name: Name of the data set, for messages.
        place: Where the images come from, such as data.root=DIR, for messages.
        cache: Folder for decoded images.

    Raises:
        DataError: If an image is damaged and `on_damaged` is "error", or if none can be read.
        StoreError: If the cache cannot be written.
    """
    pixels, damaged = cached_images(Path(cache), key, count, size, read, f"decoding {name}")
    if damaged and (on_damaged == "error" or len(damaged) == count):
        listed = "\n  ".join(list(damaged.values())[:10])
        raise DataError(
            f"{len(damaged)} of {count} images of {place} cannot be read:\n  {listed}\n"
            f"Repair them, or leave their pairs out with data.on_damaged=skip."
        )
    if damaged:
        log.warning("%s: left out %d of %d pairs without a readable image", name, len(damaged), count)
    keep = np.array([row for row in range(count) if row not in damaged], dtype=np.int64)
    return DecodedImages(name, key, pixels, keep, len(damaged))


def decode_files(
    files: Sequence[Path | str],
    *,
    key: str,
    size: int,
    on_damaged: str,
    name: str,
    root: str,
    cache: str,
) -> DecodedImages:  # seven, see `decode_images`
    """Decode image files; `key` is the hash of DECODER, the size and the content of the files, `root` their folder.

    Raises:
        DataError, StoreError: As `decode_images`.
    """
    read = ReadFile(tuple(files), size)
    place = f"data.root={root}"
    return decode_images(
        read, len(files), key=key, size=size, on_damaged=on_damaged, name=name, place=place, cache=cache
    )


def content_of(files: Sequence[Path], size: int) -> str:
    """The key of image files whose bytes are hashed at every start: of thousands of files, not of 200,000."""
    return digest(DECODER.encode(), str(size).encode(), *map(_content, files))


def _content(path: Path) -> bytes:
    try:
        return digest(path.read_bytes()).encode()
    except OSError:
        return b"unreadable"
