"""Images of a pack, in blocks of rows, as uint8 of the size wanted."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image

from aach_lightning.errors import DataError
from aach_lightning.readers.containers.axes import Axes, choose_axes, possible_axes, sample
from aach_lightning.readers.containers.files import open_variables
from aach_lightning.readers.containers.variable import Variable
from aach_lightning.runtime.files import disk_errors

log = logging.getLogger(__name__)

CONVERTER = "pack-pixels-1"
"""Part of the cache key: change it when axes are chosen or pixels converted in another way."""
_BLOCK = 64  # rows read at once: those that one process converts


@dataclass(frozen=True)
class PixelArray:
    """One array of images and how to read it.

    Attributes:
        file: File that holds it.
        key: Its key there.
        axes: Order of its axes.
        count: Number of images.
        scale: What a stored value is multiplied with to give 0 to 255.
    """

    file: Path
    key: str
    axes: Axes
    count: int
    scale: float


def plan_array(variable: Variable, count: int) -> PixelArray:
    """Decide how an array of `count` images is read, and say so.

    Raises:
        DataError: If its values are no pixels: negative, above 255, NaN or no numbers.
    """
    axes, reason = choose_axes(variable, possible_axes(variable)[count])
    values = sample(variable, axes)
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high <= 255:
        raise DataError(
            f"{variable.where}: values from {low} to {high} are no pixels, which lie in 0 to 255 or 0 to 1 (a mean may "
            f"have been subtracted)"
        )
    whole = variable.rows(axes.row, 0, 1).dtype.kind in "biu"
    scale = 1.0 if whole or high > 1 else 255.0
    log.info("%s: %d images, axes %s, values %g to %g", variable.where, count, reason, low, high)
    return PixelArray(variable.file, variable.key, axes, count, scale)


@dataclass
class ReadPixels:
    """Reads row r of several arrays one after another as uint8 3 x size x size."""

    arrays: tuple[PixelArray, ...]
    size: int
    _opened: dict[Path, dict[str, Variable]] = field(default_factory=dict, repr=False)
    _block: tuple[tuple[int, int], NDArray[np.generic]] | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, object]:
        """Open files stay in their process."""
        return {"arrays": self.arrays, "size": self.size, "_opened": {}, "_block": None}

    def __call__(self, row: int) -> NDArray[np.uint8]:
        """Convert one image.

        Raises:
            DataError: If it holds values that are no pixels, or cannot be read.
        """
        number, start = 0, row
        while start >= self.arrays[number].count:
            start -= self.arrays[number].count
            number += 1
        array = self.arrays[number]
        place = (number, start // _BLOCK)
        if self._block is None or self._block[0] != place:
            variables = self._opened.setdefault(array.file, {}) or open_variables(array.file)
            self._opened[array.file] = variables
            first = place[1] * _BLOCK
            rows = variables[array.key].rows(array.axes.row, first, min(first + _BLOCK, array.count))
            self._block = (place, array.axes.upright(rows))
        values = self._block[1][start % _BLOCK] * array.scale if array.scale != 1 else self._block[1][start % _BLOCK]
        return _resized(_bytes(values, f"{array.file}: {array.key}: image {start} (from 0)"), self.size)


def _bytes(values: NDArray[np.generic], where: str) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values, dtype=np.uint8)
    low, high = float(np.min(values)), float(np.max(values))
    if not 0 <= low <= high <= 255:
        raise DataError(f"{where}: values from {low} to {high} are no pixels")
    return np.ascontiguousarray(np.rint(values.astype(np.float64)).astype(np.uint8))


def _resized(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if image.shape == (3, size, size):
        return image
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    smaller = picture.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.ascontiguousarray(np.asarray(smaller).transpose(2, 0, 1))


@contextmanager
def pixel_reader(arrays: Sequence[tuple[Variable, int]], size: int, directory: Path) -> Iterator[ReadPixels]:
    """Plan arrays and give their reader; to plan means to read a MATLAB 5 array as a whole.

    Those that their format only gives as a whole lie in `directory` as mapped files meanwhile: without that, every
    process would hold them.

    Args:
        arrays: Variables and their number of images.
        size: Height and width in pixels.
        directory: Folder for the files, which is deleted at the end; no other process may use it.
    """
    plans: list[PixelArray] = []
    try:
        for variable, count in arrays:
            plan = plan_array(variable, count)
            if not variable.in_parts:
                path = directory / f"{variable.key}-{len(plans)}.staged.npy"
                with disk_errors(path):
                    directory.mkdir(parents=True, exist_ok=True)
                    _stage(variable, plan, path)
                plan = replace(plan, file=path, key=path.stem, axes=replace(plan.axes, row=0))
            plans.append(plan)
        yield ReadPixels(tuple(plans), size)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _stage(variable: Variable, plan: PixelArray, path: Path) -> None:
    first = variable.rows(plan.axes.row, 0, 1)
    mapped = open_memmap(path, mode="w+", dtype=first.dtype, shape=(plan.count, *first.shape[1:]))
    for start in range(0, plan.count, _BLOCK):
        mapped[start : start + _BLOCK] = variable.rows(plan.axes.row, start, min(start + _BLOCK, plan.count))
    mapped.flush()
