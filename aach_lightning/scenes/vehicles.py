"""How cars, boats, bicycles and balloons are drawn."""

import numpy as np

from aach_lightning.scenes.brush import Brush, Point, dim
from aach_lightning.scenes.textures import Colour, jitter, pick

_PAINTS: tuple[Colour, ...] = (
    (196, 30, 34), (30, 80, 170), (230, 230, 232), (40, 42, 48), (230, 180, 30), (40, 120, 70), (150, 156, 164),
    (220, 100, 30), (100, 30, 90),
)  # fmt: skip
_GLASS: Colour = (150, 190, 210)
_TYRE: Colour = (26, 26, 30)


def _wheel(brush: Brush, x: float, radius: float, rng: np.random.Generator) -> None:
    brush.ellipse(x, -radius, radius, radius, _TYRE)
    brush.ellipse(x, -radius, radius * 0.58, radius * 0.58, jitter(rng, (176, 178, 184)))
    brush.ellipse(x, -radius, radius * 0.16, radius * 0.16, (60, 60, 66))


def car(brush: Brush, rng: np.random.Generator) -> None:
    """A saloon, an estate, a van or a pickup from the side, or any car from the front."""
    paint = pick(rng, _PAINTS)
    glass = jitter(rng, _GLASS)
    if rng.random() < 0.3:
        _car_front(brush, rng, paint, glass)
        return
    roof, kind = -1.0, int(rng.integers(4))
    if kind == 0:
        cabin: list[Point] = [(-0.62, -0.58), (-0.36, roof), (0.34, roof), (0.72, -0.58)]
    elif kind == 1:
        cabin = [(-1.04, -0.58), (-0.96, roof), (0.34, roof), (0.7, -0.58)]
    elif kind == 2:
        cabin = [(-1.12, -0.3), (-1.1, roof), (0.6, roof), (1.02, -0.5)]
    else:
        cabin = [(-0.1, -0.58), (-0.04, roof), (0.46, roof), (0.74, -0.58)]
    brush.polygon(cabin, paint)
    brush.shape(
        [(-1.14, -0.2), (-1.14, -0.5), (-0.9, -0.61), (0.7, -0.6), (1.1, -0.46), (1.18, -0.2), (0.6, -0.15)], paint
    )
    brush.polygon([(-1.12, -0.3), (1.16, -0.3), (1.14, -0.16), (-1.1, -0.16)], dim(paint, 0.7))
    (x0, _), (x1, y1), (x2, y2), (x3, _) = cabin
    cx, low = (x0 + x1 + x2 + x3) / 4, -0.6
    for left, right in ((0.0, 0.46), (0.54, 1.0)):
        top_left, top_right = x1 + (x2 - x1) * left, x1 + (x2 - x1) * right
        foot_left, foot_right = x0 + (x3 - x0) * left, x0 + (x3 - x0) * right
        pane = [(foot_left, low), (top_left, y1 + 0.07), (top_right, y2 + 0.07), (foot_right, low)]
        brush.polygon([(cx + (x - cx) * 0.88, y) for x, y in pane], glass)
    brush.line([(cx, low), (cx, -0.22)], 0.014, dim(paint, 0.6))
    brush.ellipse(1.1, -0.42, 0.07, 0.06, (255, 240, 190))
    brush.ellipse(-1.1, -0.44, 0.05, 0.07, (200, 30, 30))
    radius = float(rng.uniform(0.2, 0.25))
    _wheel(brush, -0.7, radius, rng)
    _wheel(brush, 0.7, radius, rng)


def _car_front(brush: Brush, rng: np.random.Generator, paint: Colour, glass: Colour) -> None:
    for x in (-0.5, 0.5):
        brush.polygon([(x - 0.12, -0.3), (x + 0.12, -0.3), (x + 0.12, 0.0), (x - 0.12, 0.0)], _TYRE)
    brush.polygon([(-0.55, -0.55), (-0.42, -1.0), (0.42, -1.0), (0.55, -0.55)], paint)
    brush.polygon([(-0.47, -0.57), (-0.36, -0.93), (0.36, -0.93), (0.47, -0.57)], glass)
    brush.shape([(-0.66, -0.14), (-0.68, -0.45), (-0.5, -0.6), (0.5, -0.6), (0.68, -0.45), (0.66, -0.14)], paint)
    brush.polygon([(-0.34, -0.42), (0.34, -0.42), (0.3, -0.26), (-0.3, -0.26)], (40, 40, 44))
    for bar in (-0.38, -0.34, -0.3):
        brush.line([(-0.32, bar), (0.32, bar)], 0.015, jitter(rng, (150, 150, 156)))
    for x in (-0.5, 0.5):
        brush.ellipse(x, -0.4, 0.12, 0.08, (250, 246, 216))
        brush.ellipse(x * 1.36, -0.64, 0.07, 0.05, dim(paint, 0.8))
    brush.polygon([(-0.66, -0.22), (0.66, -0.22), (0.64, -0.13), (-0.64, -0.13)], dim(paint, 0.6))
    brush.polygon([(-0.14, -0.21), (0.14, -0.21), (0.14, -0.14), (-0.14, -0.14)], (236, 236, 230))


def boat(brush: Brush, rng: np.random.Generator) -> None:
    """A sailing boat with one or two sails, or a ship with a cabin and a funnel."""
    hull = pick(rng, ((240, 240, 240), (120, 70, 40), (30, 50, 90), (170, 40, 40), (40, 40, 46)))
    trim = pick(rng, ((200, 40, 40), (30, 60, 120), (240, 236, 220)))
    if rng.random() < 0.62:
        sail = pick(rng, ((250, 248, 240), (250, 248, 240), (220, 60, 40), (240, 190, 60), (60, 110, 170)))
        brush.line([(0.0, -1.0), (0.0, -0.15)], 0.024, (90, 66, 44))
        belly = float(rng.uniform(0.0, 0.1))
        brush.shape([(0.03, -0.97), (0.2, -0.7), (0.42 + belly, -0.3), (0.25, -0.24), (0.03, -0.22)], sail)
        if rng.random() < 0.75:
            brush.polygon([(-0.04, -0.88), (-0.4, -0.27), (-0.04, -0.22)], dim(sail, 0.86))
        for y in (-0.7, -0.5):
            brush.line([(0.03, y), (0.16 - y * 0.1, y + 0.02)], 0.01, dim(sail, 0.7))
        brush.polygon([(-0.52, -0.19), (0.55, -0.19), (0.4, 0.0), (-0.4, 0.0)], hull)
        brush.polygon([(-0.52, -0.19), (0.55, -0.19), (0.53, -0.15), (-0.51, -0.15)], trim)
        return
    brush.shrink(0.74)
    brush.polygon([(-0.95, -0.42), (1.05, -0.46), (0.8, 0.0), (-0.8, 0.0)], hull)
    brush.polygon([(-0.86, -0.13), (0.87, -0.13), (0.8, 0.0), (-0.8, 0.0)], trim)
    white = jitter(rng, (244, 244, 240), 8)
    brush.polygon([(-0.6, -0.66), (0.45, -0.66), (0.55, -0.43), (-0.65, -0.42)], white)
    brush.polygon([(-0.3, -0.84), (0.2, -0.84), (0.28, -0.66), (-0.35, -0.66)], white)
    brush.polygon([(-0.2, -1.0), (0.0, -1.0), (0.0, -0.82), (-0.2, -0.82)], trim)
    for x in np.arange(-0.5, 0.45, 0.2):
        brush.ellipse(float(x), -0.54, 0.055, 0.055, (50, 70, 100))
        brush.ellipse(float(x), -0.28, 0.035, 0.035, (230, 230, 220))
    brush.line([(0.62, -0.42), (0.62, -0.8)], 0.02, (90, 90, 90))


def bicycle(brush: Brush, rng: np.random.Generator) -> None:
    """Two spoked wheels and a diamond frame."""
    paint = pick(rng, _PAINTS)
    radius = 0.3
    hubs = ((-0.52, -radius), (0.52, -radius))
    for x, y in hubs:
        brush.ring(x, y, radius, 0.05, _TYRE)
        for angle in np.arange(0.0, np.pi, np.pi / 5) + float(rng.uniform(0.0, 0.6)):
            dx, dy = radius * float(np.cos(angle)), radius * float(np.sin(angle))
            brush.line([(x - dx, y - dy), (x + dx, y + dy)], 0.008, (170, 170, 176))
    crank, seat, head = (-0.08, -0.28), (-0.2, -0.76), (0.38, -0.8)
    width = float(rng.uniform(0.045, 0.065))
    stem, neck = (-0.18, -0.67), (0.39, -0.72)
    for start, end in (
        (hubs[0], crank), (hubs[0], stem), (crank, seat), (crank, neck), (stem, neck), (hubs[1], head),
    ):  # fmt: skip
        brush.line([start, end], width, paint)
    brush.line([(-0.34, -0.8), (-0.08, -0.8)], 0.07, (40, 30, 28))
    brush.line(
        [head, (0.34, -0.96), (0.2, -0.98)] if rng.random() < 0.5 else [head, (0.4, -0.95), (0.56, -0.9)], 0.045, _TYRE
    )
    brush.ellipse(*crank, 0.08, 0.08, (70, 70, 74))
    brush.line([(-0.14, -0.14), (-0.02, -0.42)], 0.025, (60, 60, 64))


def balloon(brush: Brush, rng: np.random.Generator) -> None:
    """A striped hot-air balloon with a basket, or a bunch of party balloons on strings."""
    if rng.random() < 0.6:
        first, second = pick(rng, _PAINTS), pick(rng, _PAINTS)
        brush.line([(-0.16, -0.28), (-0.07, -0.12)], 0.012, (80, 60, 40))
        brush.line([(0.16, -0.28), (0.07, -0.12)], 0.012, (80, 60, 40))
        stripes = int(rng.integers(3, 6))
        for stripe in range(stripes):
            share = 1.0 - stripe / stripes
            half = 0.37 * share
            outline = [(-half, -0.64), (-half * 0.72, -0.92), (0.0, -1.0), (half * 0.72, -0.92), (half, -0.64)]
            outline += [
                (half * 0.72, -0.4),
                (half * 0.3 + 0.03, -0.25),
                (-half * 0.3 - 0.03, -0.25),
                (-half * 0.72, -0.4),
            ]
            brush.shape(outline, first if stripe % 2 == 0 else second)
        brush.polygon([(-0.08, -0.13), (0.08, -0.13), (0.065, 0.0), (-0.065, 0.0)], (130, 86, 46))
        return
    for _ in range(int(rng.integers(1, 5))):
        paint = pick(rng, _PAINTS, 40)
        x, y = float(rng.uniform(-0.3, 0.3)), float(rng.uniform(-0.8, -0.6))
        brush.line([(x, y + 0.2), (x * 0.6, -0.2), (0.0, 0.0)], 0.01, (230, 230, 230), curved=True)
        brush.ellipse(x, y, 0.17, 0.21, paint)
        brush.polygon([(x, y + 0.19), (x - 0.03, y + 0.25), (x + 0.03, y + 0.25)], dim(paint, 0.8))
        brush.ellipse(x - 0.06, y - 0.08, 0.03, 0.05, dim(paint, 1.5), 0.5)
