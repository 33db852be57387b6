"""Image files of any kind decoded through the cache; damaged ones are refused or left out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from aach_lightning.data.cache import cached_images
from aach_lightning.errors import DataError

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
class DecodedFiles:
    """What could be decoded of N files.

    Attributes:
        pixels: Read-only memory map, uint8 N x 3 x size x size; rows of damaged files are zero.
        keep: int64, the rows that could be read, ascending.
        skipped: How many could not.
    """

    pixels: NDArray[np.uint8]
    keep: NDArray[np.int64]
    skipped: int

    @property
    def image_rows(self) -> NDArray[np.int64] | None:
        """Row of `pixels` of each kept file; None where that is its own position."""
        return self.keep if self.skipped else None


def decode_files(
    files: Sequence[Path | str],
    *,
    key: str,
    size: int,
    on_damaged: Literal["error", "skip"],
    name: str,
    root: str,
    cache: str,
) -> DecodedFiles:
    """Decode files once into the cache, or open what was decoded before.

    Args:
        files: N paths.
        key: Hash of DECODER, the size and the content of the files.
        size: Height and width in pixels.
        on_damaged: Stop at missing or damaged images, or leave them out and count them.
        name: Name of the data set, for messages.
        root: The value of `data.root`, for messages.
        cache: Folder for decoded images.

    Raises:
        DataError: If an image is damaged and `on_damaged` is "error", or if none can be read.
        StoreError: If the cache cannot be written.
    """
    pixels, damaged = cached_images(
        Path(cache), key, len(files), size, ReadFile(tuple(files), size), f"decoding {name}"
    )
    if damaged and on_damaged == "error":
        listed = "\n  ".join(list(damaged.values())[:10])
        raise DataError(
            f"{len(damaged)} of {len(files)} images of data.root={root} cannot be read:\n  {listed}\n"
            f"Repair them, or leave their pairs out with data.on_damaged=skip."
        )
    keep = np.array([row for row in range(len(files)) if row not in damaged], dtype=np.int64)
    if damaged:
        log.warning("%s: left out %d of %d pairs without a readable image", name, len(damaged), len(files))
    if not len(keep):
        raise DataError(f"data.root={root}: not one of {len(files)} images can be read")
    return DecodedFiles(pixels, keep, len(damaged))
