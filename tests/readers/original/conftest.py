from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

TOP, BOTTOM = (230, 40, 20), (10, 60, 200)


@pytest.fixture
def write_photo() -> Callable[[Path, int], None]:
    """Writes a JPEG whose upper half is red, lower half blue, with a green stripe at the left, `level` high."""

    def write(path: Path, level: int) -> None:
        picture = np.empty((48, 64, 3), np.uint8)
        picture[:24], picture[24:] = TOP, BOTTOM
        picture[:, :32, 1] = level
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path, "JPEG", quality=95, subsampling=0)

    return write


@pytest.fixture
def level_of() -> Callable[[NDArray[np.uint8]], int]:
    """Reads `level` back from a decoded 3 x H x W image, after a look at its colours."""

    def read(image: NDArray[np.uint8]) -> int:
        quarter, third = image.shape[1] // 4, 3 * image.shape[1] // 4
        for row, colour in ((quarter, TOP), (third, BOTTOM)):
            assert np.abs(image[:, row, third].astype(int) - colour).max() <= 8
            assert abs(int(image[0, row, quarter]) - colour[0]) <= 8
        left = image[1, [quarter, third], quarter].astype(int)
        assert abs(left[0] - left[1]) <= 8
        return int(round(left.mean() / 20) * 20)

    return read
