"""The order of an image array's axes: from its shape, then from how pixels look."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aach_lightning.errors import DataError
from aach_lightning.readers.containers.variable import Variable

_BLOCKS, _BLOCK_ROWS = 8, 16  # 128 images decide
_SURE = 4.0  # standard errors


@dataclass(frozen=True)
class Axes:
    """Where the axes of an image array are.

    Attributes:
        row: Axis of the pairs: the first or the last.
        channel: Axis of the three colours, among those left when `row` is taken away.
        swapped: Whether the first of the two axes left then is the width.
    """

    row: int
    channel: int
    swapped: bool = False

    def upright(self, block: NDArray[np.generic]) -> NDArray[np.generic]:
        """Turn rows as `Variable.rows` gives them into n x 3 x H x W."""
        moved = np.moveaxis(block, self.channel + 1, 1)
        return moved.swapaxes(2, 3) if self.swapped else moved


def possible_axes(variable: Variable) -> dict[int, list[Axes]]:
    """The readings of an image array that its shape allows, by the number of pairs each of them means.

    The pairs are the first or the last axis; the colours lie beside the two image axes, never between them.

    Raises:
        DataError: If it holds features instead of pixels, or is no array of colour images.
    """
    shape = variable.shape
    if len(shape) == 2:
        raise DataError(
            f"{variable.where}: shape {shape} is one vector an image: features that a network has computed (4096 is "
            f"the width of CNN-F's and VGG's), not pixels. An attack changes pixels, and none can be got back from "
            f"features: look for the pack with 4 axes, 3 of one of them, or for the original pictures (data=pairs)."
        )
    readings: dict[int, list[Axes]] = {}
    if len(shape) == 4:
        for row, rest in ((0, shape[1:]), (3, shape[:3])):
            for channel in (0, 2):
                if rest[channel] == 3 and shape[row] > 0:
                    readings.setdefault(shape[row], []).append(Axes(row, channel))
    if not readings:
        raise DataError(
            f"{variable.where}: shape {shape} is no array of colour images; needed are 4 axes: pairs first or last, "
            f"and 3 colours beside height and width"
        )
    return readings


def sample(variable: Variable, axes: Axes) -> NDArray[np.floating]:
    """Up to 128 images spread over the whole array, n x 3 x H x W."""
    count = variable.shape[axes.row]
    starts = np.unique(np.linspace(0, max(count - _BLOCK_ROWS, 0), _BLOCKS).astype(int))
    blocks = {row: image for start in starts for row, image in enumerate(_rows(variable, axes, int(start)), int(start))}
    return np.stack([blocks[row] for row in sorted(blocks)]).astype(np.float32)


def _rows(variable: Variable, axes: Axes, start: int) -> NDArray[np.generic]:
    return axes.upright(variable.rows(axes.row, start, min(start + _BLOCK_ROWS, variable.shape[axes.row])))


def roughness(images: NDArray[np.floating]) -> float:
    """Mean difference of neighbouring pixels over that of pixels half an image apart; small in a real picture.

    Args:
        images: n x 3 x H x W.

    Returns:
        About 1 where the last two axes are not those of a picture; NaN where all pixels are alike.
    """
    near, far = 0.0, 0.0
    for axis in (2, 3):
        near += float(np.abs(np.diff(images, axis=axis)).mean()) if images.shape[axis] > 1 else 0.0
        far += float(np.abs(images - np.roll(images, images.shape[axis] // 2, axis)).mean())
    return near / far if far else float("nan")


def is_transposed(images: NDArray[np.floating]) -> bool | None:
    """Whether H and W are exchanged: pictures resemble themselves left to right more than top to bottom.

    Args:
        images: n x 3 x H x W.

    Returns:
        None where these images do not show it, or are fewer than 16.
    """
    if len(images) < _BLOCK_ROWS:
        return None
    grey = images.mean(axis=1)
    top_bottom = np.abs(grey - grey[:, ::-1]).mean(axis=(1, 2))
    left_right = np.abs(grey - grey[:, :, ::-1]).mean(axis=(1, 2))
    more = top_bottom - left_right
    error = float(more.std(ddof=1)) / np.sqrt(len(more))
    if abs(more.mean()) <= _SURE * error:
        return None
    return bool(more.mean() < 0)


def choose_axes(variable: Variable, readings: Sequence[Axes]) -> tuple[Axes, str]:
    """Choose between the readings of one array by its pixels: the smoothest, set upright where that can be seen.

    Args:
        variable: Images.
        readings: At least one, all of the same number of pairs.

    Returns:
        The choice, and in words what it is and rests on.
    """
    samples = {axes: sample(variable, axes) for axes in readings}
    rough = {axes: roughness(images) for axes, images in samples.items()}
    best = min(readings, key=lambda axes: (np.isnan(rough[axes]), rough[axes]))
    transposed = is_transposed(samples[best])
    letters = ["C" if at == best.channel else "" for at in range(3)]
    for letter in "WH" if transposed else "HW":
        letters[letters.index("")] = letter
    order = " x ".join(["N", *letters] if best.row == 0 else [*letters, "N"])
    unknown = "height before width by default: the pixels do not show it"
    reason = unknown if transposed is None else "upright by its symmetry"
    doubt = "; these do not look like pictures" if not rough[best] < 0.9 else ""
    return Axes(best.row, best.channel, bool(transposed)), f"{order} ({reason}; roughness {rough[best]:.2f}{doubt})"
