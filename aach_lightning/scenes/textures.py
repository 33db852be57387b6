"""Noise and gradients as float32 arrays whose content does not depend on the resolution."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.float32]
"""H x W in [0, 1]."""
Picture = NDArray[np.float32]
"""3 x H x W in [0, 1]: planes, because numpy then works on long rows."""
Colour = tuple[int, int, int]
"""Red, green, blue in 0..255."""


def _enlarge(plane: Plane, rows: int, columns: int) -> Plane:
    return np.asarray(Image.fromarray(plane).resize((columns, rows), Image.Resampling.BICUBIC))


def noise(rng: np.random.Generator, size: int, rows: int, columns: int) -> Plane:
    """Smooth value noise in [0, 1], size x size, from a lattice of rows x columns random values."""
    plane = _enlarge(rng.random((rows, columns), dtype=np.float32), size, size)
    return plane.clip(0.0, 1.0)


def fractal(rng: np.random.Generator, size: int, rows: int, columns: int, octaves: int = 4, gain: float = 0.5) -> Plane:
    """Sum of noises, each twice as fine and `gain` times as strong as the one before, stretched to [0, 1]."""
    total = rng.random((rows, columns), dtype=np.float32)
    for octave in range(1, octaves):
        # Each sum is formed on the finer lattice: only the last step costs a full-size enlargement.
        total = _enlarge(total, rows << octave, columns << octave)
        total = total + np.float32(gain**octave) * rng.random(total.shape, dtype=np.float32)
    total = _enlarge(total, size, size)
    low, high = float(total.min()), float(total.max())
    return ((total - low) / max(high - low, 1e-6)).clip(0.0, 1.0)


def columns_of(size: int) -> Plane:
    """Positions of the pixel centres as a row, 1 x size: 0 at the left, 1 at the right."""
    return (np.arange(size, dtype=np.float32)[None, :] + np.float32(0.5)) / np.float32(size)


def rows_of(size: int) -> Plane:
    """Heights of the pixel centres as a column, size x 1: 0 at the top, 1 at the bottom."""
    return columns_of(size).T


def unit(colour: Colour) -> Picture:
    """A colour as a 3 x 1 x 1 picture."""
    return np.array(colour, dtype=np.float32)[:, None, None] / np.float32(255.0)


def blend(first: Colour, second: Colour, share: Plane) -> Picture:
    """From `first` where `share` is 0 to `second` where it is 1."""
    low = unit(first)
    picture = share * (unit(second) - low)
    picture += low
    return picture


def over(below: Picture, above: Picture, cover: Plane) -> Picture:
    """`above` laid over `below`: hides it where `cover` is 1, absent where 0."""
    mixed = cover * (above - below)
    mixed += below
    return mixed


def gradient(size: int, stops: tuple[Colour, ...]) -> Picture:
    """Vertical gradient through evenly spaced colours, 3 x size x size."""
    heights = rows_of(size)[:, 0]
    positions = np.linspace(0.0, 1.0, len(stops))
    columns = np.stack([np.interp(heights, positions, channel) for channel in zip(*stops, strict=True)])
    return np.repeat(columns.astype(np.float32)[:, :, None] / np.float32(255.0), size, axis=2)


def ramp(values: NDArray[np.floating], low: float, high: float) -> Plane:
    """0 below `low`, 1 above `high`, smooth between."""
    t: Plane = np.clip((values - low) / (high - low), 0.0, 1.0, dtype=np.float32, casting="same_kind")
    return t * t * (np.float32(3.0) - np.float32(2.0) * t)


def jitter(rng: np.random.Generator, colour: Colour, amount: int = 18) -> Colour:
    """The colour with each channel moved by up to `amount`."""
    moves: list[int] = rng.integers(-amount, amount + 1, 3).tolist()
    red, green, blue = (min(255, max(0, channel + move)) for channel, move in zip(colour, moves, strict=True))
    return red, green, blue


def pick(rng: np.random.Generator, colours: tuple[Colour, ...], amount: int = 18) -> Colour:
    """One of the colours, jittered."""
    return jitter(rng, colours[int(rng.integers(len(colours)))], amount)


def to_bytes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """[0, 1] to 0..255, rounded; values outside are clipped."""
    scaled = values * 255.0 + 0.5
    return np.clip(scaled, 0.0, 255.0, out=scaled).astype(np.uint8)


def to_image(picture: NDArray[np.floating]) -> Image.Image:
    """A Pillow image of a picture."""
    return Image.fromarray(np.ascontiguousarray(to_bytes(picture).transpose(1, 2, 0)))


def from_image(image: Image.Image) -> Picture:
    """Planes of a Pillow image; as many as it has bands."""
    return np.asarray(image).transpose(2, 0, 1).astype(np.float32) / np.float32(255.0)
