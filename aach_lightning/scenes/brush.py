"""A brush that draws a thing in its own coordinates, whatever its place, size, turn and the picture's resolution."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from aach_lightning.scenes.textures import Colour

Point = tuple[float, float]


@dataclass(frozen=True)
class Pose:
    """Where and how a thing stands.

    Attributes:
        x: Horizontal position of its middle; 0 is the left border, 1 the right one.
        y: Vertical position of its foot; 0 is the top border, 1 the bottom one.
        height: Its height as a share of the picture's height.
        angle: Turn about its middle in radians, clockwise.
        flip: Whether it is mirrored.
        stretch: Width relative to the ordinary proportions.
        aloft: Whether it is in the air.
    """

    x: float
    y: float
    height: float
    angle: float = 0.0
    flip: bool = False
    stretch: float = 1.0
    aloft: bool = False


class Brush:
    """Draws on a transparent size x size layer.

    A thing's own coordinates: x from the left to the right with 0 in its middle, y from -1 (its top) to 0 (its foot).

    Args:
        size: Pixels per side of the layer.
        pose: Maps the thing's coordinates to the picture.
    """

    def __init__(self, size: int, pose: Pose) -> None:
        self.pose = pose
        self.layer = Image.new("RGBA", (size, size), (0, 0, 0, 0))
        self._pen = ImageDraw.Draw(self.layer)
        self._unit = size * pose.height
        sine, cosine = np.sin(pose.angle), np.cos(pose.angle)
        across = pose.stretch * (-1.0 if pose.flip else 1.0)
        self._matrix = self._unit * np.array([[cosine * across, -sine], [sine * across, cosine]])
        self._origin = np.array([0.0, 0.5])
        self._centre = np.array([size * pose.x, size * (pose.y - 0.5 * pose.height)])

    @property
    def near(self) -> bool:
        """Whether a portrait suits the thing: it is large and reaches the picture's foot, so that none floats."""
        return self.pose.height > 0.45 and self.pose.y > 0.88

    def shrink(self, factor: float) -> None:
        """Draw everything from here on smaller by `factor`, with the foot where it was."""
        self._matrix *= factor
        self._unit *= factor
        self._origin /= factor

    def _place(self, points: Sequence[Point] | NDArray[np.float64]) -> list[Point]:
        local = np.asarray(points, dtype=np.float64) + self._origin
        return [(float(x), float(y)) for x, y in local @ self._matrix.T + self._centre]

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon with straight sides."""
        self._pen.polygon(self._place(points), fill=(*colour, 255))

    def shape(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill the smooth closed curve through the points (Catmull-Rom)."""
        self._pen.polygon(self._place(smooth(points)), fill=(*colour, 255))

    def ellipse(
        self, x: float, y: float, half_width: float, half_height: float, colour: Colour, turn: float = 0.0
    ) -> None:
        """Fill an ellipse about (x, y), turned by `turn` radians."""
        t = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
        u, v = half_width * np.cos(t), half_height * np.sin(t)
        points = np.stack([x + u * np.cos(turn) - v * np.sin(turn), y + u * np.sin(turn) + v * np.cos(turn)], axis=1)
        self._pen.polygon(self._place(points), fill=(*colour, 255))

    def line(self, points: Sequence[Point], width: float, colour: Colour, curved: bool = False) -> None:
        """Draw a line through the points, `width` in the thing's own units; `curved` rounds it."""
        path = bend(points) if curved else points
        pixels = max(1, round(self._unit * width))
        self._pen.line(self._place(path), fill=(*colour, 255), width=pixels, joint="curve")

    def ring(self, x: float, y: float, radius: float, width: float, colour: Colour) -> None:
        """Draw a circle's outline."""
        t = np.linspace(0.0, 2 * np.pi, 33)
        pixels = max(1, round(self._unit * width))
        points = np.stack([x + radius * np.cos(t), y + radius * np.sin(t)], axis=1)
        self._pen.line(self._place(points), fill=(*colour, 255), width=pixels, joint="curve")


_STEPS = np.linspace(0.0, 1.0, 5, endpoint=False)[:, None]


def smooth(points: Sequence[Point]) -> NDArray[np.float64]:
    """Five points per corner on the closed Catmull-Rom curve through the corners."""
    p = np.asarray(points, dtype=np.float64)
    before, after, beyond = np.roll(p, 1, axis=0), np.roll(p, -1, axis=0), np.roll(p, -2, axis=0)
    t = _STEPS
    curve = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(before, p, after, beyond, strict=True)
    ]
    return np.concatenate(curve)


def bend(points: Sequence[Point]) -> NDArray[np.float64]:
    """The Bezier curve of the control points, 13 points."""
    p = np.asarray(points, dtype=np.float64)
    t = np.linspace(0.0, 1.0, 13)[:, None]
    level = [np.repeat(row[None, :], 13, axis=0) for row in p]
    while len(level) > 1:
        level = [(1 - t) * a + t * b for a, b in pairwise(level)]
    return level[0]


def dim(colour: Colour, factor: float) -> Colour:
    """The colour made darker (factor below 1) or lighter."""
    red, green, blue = (min(255, max(0, round(channel * factor))) for channel in colour)
    return red, green, blue
