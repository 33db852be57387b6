"""How birds and fish are drawn."""

import numpy as np

from aach_lightning.scenes.brush import Brush, Point, dim
from aach_lightning.scenes.textures import Colour, jitter, pick

_PLUMAGE: tuple[Colour, ...] = (
    (240, 240, 238), (40, 42, 48), (180, 60, 40), (60, 100, 170), (130, 96, 64), (220, 180, 50), (120, 126, 132),
)  # fmt: skip
_SCALES: tuple[Colour, ...] = (
    (240, 130, 30), (150, 160, 170), (240, 200, 50), (60, 120, 190), (200, 60, 50), (90, 130, 100), (230, 230, 220),
)  # fmt: skip


def bird(brush: Brush, rng: np.random.Generator) -> None:
    """A bird in flight from the side, a gliding one from afar, or one that stands."""
    back = pick(rng, _PLUMAGE)
    belly, beak = dim(jitter(rng, back), float(rng.uniform(0.7, 1.4))), jitter(rng, (236, 160, 40))
    kind = rng.random()
    if brush.pose.aloft and kind < 0.4:
        _gliding_bird(brush, rng, back, beak)
    elif brush.pose.aloft or kind < 0.15:
        lift = float(rng.uniform(0.0, 0.3))
        brush.polygon([(-0.5, -0.42), (-0.95, -0.5), (-0.9, -0.3)], dim(back, 0.8))
        brush.shape(
            [(-0.05, -0.5), (-0.2, -0.85 - lift * 0.3), (-0.5, -1.0), (0.1, -0.95 + lift), (0.3, -0.5)], dim(back, 0.7)
        )
        brush.shape([(-0.62, -0.42), (-0.2, -0.56), (0.35, -0.58), (0.62, -0.5), (0.4, -0.32), (-0.1, -0.26)], back)
        brush.shape([(-0.1, -0.3), (0.3, -0.4), (0.5, -0.36), (0.2, -0.25)], belly)
        brush.ellipse(0.6, -0.56, 0.15, 0.14, back)
        brush.polygon([(0.72, -0.6), (0.95, -0.53), (0.72, -0.5)], beak)
        brush.shape(
            [(-0.2, -0.45), (-0.35, -0.15 + lift * 0.2), (-0.3, 0.0), (0.05, -0.1), (0.25, -0.45)], dim(back, 0.85)
        )
        brush.ellipse(0.64, -0.59, 0.03, 0.03, (10, 10, 10))
    else:
        for x in (-0.03, 0.09):
            brush.line([(x, -0.24), (x + 0.02, 0.0), (x + 0.1, 0.0)], 0.025, dim(beak, 0.8))
        brush.polygon([(-0.3, -0.42), (-0.78, -0.2), (-0.7, -0.1), (-0.2, -0.26)], dim(back, 0.7))
        brush.shape([(-0.4, -0.35), (-0.2, -0.6), (0.14, -0.78), (0.36, -0.6), (0.3, -0.32), (0.0, -0.18)], back)
        brush.shape([(0.0, -0.22), (0.24, -0.62), (0.37, -0.55), (0.28, -0.3)], belly)
        brush.shape([(-0.5, -0.28), (-0.2, -0.56), (0.08, -0.52), (0.0, -0.32)], dim(back, 0.75))
        brush.ellipse(0.26, -0.83, 0.17, 0.17, back)
        brush.polygon([(0.4, -0.88), (0.62, -0.8), (0.4, -0.76)], beak)
        brush.ellipse(0.32, -0.87, 0.035, 0.035, (10, 10, 10))


def _gliding_bird(brush: Brush, rng: np.random.Generator, back: Colour, beak: Colour) -> None:
    brush.shrink(0.84)
    sweep = float(rng.uniform(-0.1, 0.25))
    for side in (-1.0, 1.0):
        wing: list[Point] = [
            (0.0, -0.6),
            (0.45 * side, -0.95),
            (1.0 * side, -0.75 + sweep),
            (0.55 * side, -0.7),
            (0.1 * side, -0.35),
        ]
        brush.shape(wing, back if side > 0 else dim(back, 0.85))
        brush.polygon([(0.78 * side, -0.86), (1.1 * side, -0.68 + sweep), (0.7 * side, -0.74)], dim(back, 0.4))
    brush.ellipse(0.0, -0.42, 0.13, 0.3, dim(back, 0.95))
    brush.polygon([(-0.06, -0.2), (0.06, -0.2), (0.16, 0.0), (-0.16, 0.0)], dim(back, 0.8))
    brush.ellipse(0.0, -0.74, 0.1, 0.11, back)
    brush.polygon([(-0.04, -0.82), (0.04, -0.82), (0.0, -0.96)], beak)


def fish(brush: Brush, rng: np.random.Generator) -> None:
    """An oval body with fins, at times banded."""
    scale = pick(rng, _SCALES)
    fin, plump = dim(jitter(rng, scale, 40), 0.8), float(rng.uniform(0.24, 0.4))
    brush.shape([(-0.55, -0.5), (-0.8, -0.8), (-1.0, -0.9), (-0.88, -0.5), (-1.0, -0.1), (-0.8, -0.22)], fin)
    brush.shape([(-0.3, -0.5 - plump * 0.7), (0.0, -0.98), (0.3, -0.85), (0.35, -0.6)], fin)
    brush.shape([(-0.2, -0.5 + plump * 0.7), (0.0, -0.05), (0.15, -0.3)], fin)
    brush.shape(
        [
            (-0.65, -0.5),
            (-0.2, -0.5 - plump),
            (0.4, -0.5 - plump * 0.95),
            (0.85, -0.5),
            (0.4, -0.5 + plump * 0.95),
            (-0.2, -0.5 + plump),
        ],
        scale,
    )
    brush.shape(
        [(-0.4, -0.42), (0.2, -0.4), (0.75, -0.42), (0.35, -0.5 + plump * 0.85), (-0.15, -0.5 + plump * 0.9)],
        dim(scale, 1.25),
    )
    if rng.random() < 0.5:
        band = pick(rng, ((250, 250, 250), (20, 20, 30)))
        for x in (-0.25, 0.2):
            brush.line([(x, -0.5 - plump * 0.8), (x + 0.06, -0.5), (x, -0.5 + plump * 0.8)], 0.1, band, curved=True)
    else:
        for x in np.arange(-0.4, 0.4, 0.16):
            for y in (-0.62, -0.5, -0.38):
                brush.line([(float(x), y - 0.05), (float(x) + 0.06, y), (float(x), y + 0.05)], 0.014, dim(scale, 0.75))
    brush.shape([(0.15, -0.45), (-0.1, -0.38), (-0.05, -0.2), (0.12, -0.34)], fin)
    brush.line(
        [(0.42, -0.5 - plump * 0.7), (0.34, -0.5), (0.42, -0.5 + plump * 0.7)], 0.02, dim(scale, 0.6), curved=True
    )
    brush.ellipse(0.6, -0.56, 0.08, 0.08, (250, 250, 250))
    brush.ellipse(0.62, -0.56, 0.045, 0.045, (10, 10, 10))
