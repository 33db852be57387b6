"""How houses, trees and flowers are drawn."""

import numpy as np

from aach_lightning.scenes.brush import Brush, dim
from aach_lightning.scenes.textures import Colour, jitter, pick

_WALLS: tuple[Colour, ...] = (
    (236, 226, 206),
    (200, 90, 70),
    (240, 210, 130),
    (150, 170, 190),
    (250, 250, 246),
    (130, 90, 60),
)
_ROOFS: tuple[Colour, ...] = ((150, 60, 44), (90, 70, 64), (70, 76, 90), (60, 50, 46), (176, 96, 60))
_LEAVES: tuple[Colour, ...] = (
    (50, 110, 44),
    (86, 140, 50),
    (40, 90, 60),
    (200, 120, 40),
    (190, 70, 40),
    (150, 150, 50),
)
_BARK: tuple[Colour, ...] = ((86, 62, 44), (110, 90, 72), (60, 46, 38), (190, 184, 174))
_PETALS: tuple[Colour, ...] = (
    (226, 50, 70), (250, 200, 40), (240, 130, 170), (250, 250, 250), (150, 80, 190), (250, 130, 40), (90, 110, 220),
)  # fmt: skip


def house(brush: Brush, rng: np.random.Generator) -> None:
    """Walls, a gabled or hipped roof, a door, windows, often a chimney."""
    wall, roof = pick(rng, _WALLS), pick(rng, _ROOFS)
    wide, eaves = float(rng.uniform(0.45, 0.72)), float(rng.uniform(-0.66, -0.5))
    if rng.random() < 0.6:
        x = float(rng.uniform(0.2, 0.6)) * wide
        brush.polygon([(x - 0.07, -0.98), (x + 0.07, -0.98), (x + 0.07, -0.6), (x - 0.07, -0.6)], dim(roof, 0.8))
    brush.polygon([(-wide, eaves), (wide, eaves), (wide, 0.0), (-wide, 0.0)], wall)
    flat = float(rng.choice((0.0, 0.0, 0.55))) * wide
    brush.polygon([(-wide - 0.1, eaves + 0.03), (-flat, -1.0), (flat + 0.001, -1.0), (wide + 0.1, eaves + 0.03)], roof)
    for y in np.arange(eaves - 0.06, -0.95, -0.08):
        half = (wide + 0.06) * (1.0 + float(y)) / (1.0 + eaves) + flat * (eaves - float(y)) / (1.0 + eaves)
        brush.line([(-half, float(y)), (half, float(y))], 0.012, dim(roof, 0.8))
    door = float(rng.uniform(-0.3, 0.3)) * wide
    wood = pick(rng, ((110, 60, 36), (60, 90, 70), (150, 40, 40)))
    brush.polygon([(door - 0.1, -0.32), (door + 0.1, -0.32), (door + 0.1, 0.0), (door - 0.1, 0.0)], wood)
    glass = pick(rng, ((80, 100, 120), (250, 226, 150), (150, 190, 210)))
    for x in (-0.68 * wide, 0.68 * wide):
        for y in (-0.27, -0.52) if eaves < -0.6 else (-0.32,):
            low, half = y + 0.07, 0.1
            brush.polygon(
                [(x - half, y - 0.08), (x + half, y - 0.08), (x + half, low), (x - half, low)], (246, 244, 238)
            )
            for left in (x - half + 0.015, x + 0.01):
                right = left + half - 0.025
                brush.polygon([(left, y - 0.065), (right, y - 0.065), (right, low - 0.015), (left, low - 0.015)], glass)


def tree(brush: Brush, rng: np.random.Generator) -> None:
    """A broad crown, a conifer, a palm or bare branches."""
    leaf, bark, kind = pick(rng, _LEAVES), pick(rng, _BARK), rng.random()
    if kind < 0.5:
        brush.polygon([(-0.07, 0.0), (-0.04, -0.6), (0.04, -0.6), (0.08, 0.0)], bark)
        brush.line([(0.0, -0.4), (0.18, -0.6)], 0.03, bark)
        brush.line([(0.0, -0.36), (-0.18, -0.58)], 0.03, bark)
        for ring, tone in ((1.0, 0.7), (0.8, 0.95), (0.55, 1.2)):
            for _ in range(6):
                angle, far = float(rng.uniform(0.0, 6.28)), float(rng.uniform(0.4, 1.0)) * ring
                x, y = 0.24 * far * float(np.cos(angle)), -0.68 + 0.2 * far * float(np.sin(angle)) - 0.05 * tone
                brush.ellipse(x, y, 0.15, 0.12, dim(jitter(rng, leaf, 12), tone))
    elif kind < 0.75:
        brush.polygon([(-0.04, 0.0), (-0.04, -0.2), (0.04, -0.2), (0.04, 0.0)], bark)
        green = pick(rng, _LEAVES[:3])
        levels = int(rng.integers(3, 6))
        for level in range(levels):
            foot = -0.12 - 0.62 * level / levels
            half = 0.34 * (1.0 - 0.8 * level / levels)
            peak = max(-1.0, foot - 0.42)
            brush.polygon(
                [
                    (-half, foot),
                    (-half * 0.5, foot - 0.05),
                    (0.0, foot),
                    (half * 0.5, foot - 0.05),
                    (half, foot),
                    (0.0, peak),
                ],
                dim(green, 0.75 + 0.1 * level),
            )
    elif kind < 0.88:
        lean = float(rng.uniform(-0.15, 0.15))
        brush.line([(0.0, 0.0), (lean * 0.2, -0.4), (lean, -0.78)], 0.06, bark, curved=True)
        for angle in np.linspace(-0.3, np.pi + 0.3, 8):
            reach = 0.42 * float(rng.uniform(0.8, 1.1))
            dx, dy = reach * float(np.cos(angle)), -0.22 * float(np.sin(angle)) * reach / 0.42
            brush.line(
                [(lean, -0.78), (lean + 0.6 * dx, -0.78 + 1.4 * dy), (lean + dx, -0.72 + dy)],
                0.055,
                dim(leaf, float(rng.uniform(0.8, 1.1))),
                curved=True,
            )
    else:
        brush.polygon([(-0.06, 0.0), (-0.03, -0.6), (0.03, -0.6), (0.07, 0.0)], bark)
        for _ in range(9):
            y, side = float(rng.uniform(-0.75, -0.35)), float(rng.choice((-1.0, 1.0)))
            reach = float(rng.uniform(0.15, 0.38))
            tip = (side * reach, y - reach * float(rng.uniform(0.4, 0.9)) if y > -0.6 else -0.98)
            brush.line([(0.0, y + 0.1), (side * reach * 0.5, y), tip], 0.028, bark)
        brush.line([(0.0, -0.55), (0.02, -0.98)], 0.03, bark)


def flower(brush: Brush, rng: np.random.Generator) -> None:
    """One to three blossoms (daisies, tulips or roses) on stems with leaves."""
    paint, green, kind = pick(rng, _PETALS), jitter(rng, (60, 130, 50)), rng.random()
    heads = int(rng.choice((1, 1, 2, 3)))
    for head in range(heads):
        x = 0.0 if heads == 1 else -0.28 + 0.56 * head / (heads - 1)
        y = -0.7 + (float(rng.uniform(0.0, 0.16)) if heads > 1 else 0.0)
        r = 0.3 if heads == 1 else 0.2
        brush.line([(x * 0.3, 0.0), (x * 0.9, -0.3), (x, y)], 0.035, green, curved=True)
        side = float(rng.choice((-1.0, 1.0)))
        brush.shape(
            [
                (x * 0.5, -0.12),
                (x * 0.5 + side * 0.14, -0.32),
                (x * 0.5 + side * 0.3, -0.36),
                (x * 0.5 + side * 0.16, -0.16),
            ],
            dim(green, 0.85),
        )
        if kind < 0.6:
            petals = int(rng.integers(5, 13))
            turn = float(rng.uniform(0.0, 1.0))
            wide = r * min(0.36, 2.2 / petals)
            for petal in range(petals):
                angle = turn + 6.2832 * petal / petals
                px, py = x + 0.6 * r * float(np.cos(angle)), y + 0.6 * r * float(np.sin(angle))
                brush.ellipse(px, py, 0.45 * r, wide, dim(paint, 1.0 if petal % 2 else 0.86), angle)
            brush.ellipse(x, y, 0.28 * r, 0.28 * r, pick(rng, ((240, 190, 40), (120, 70, 30), (250, 230, 120))))
        elif kind < 0.8:
            for dx, tone in ((-0.4, 0.8), (0.4, 0.85), (0.0, 1.0)):
                cx = x + dx * r
                brush.shape(
                    [
                        (cx, y - r * 0.95),
                        (cx + r * 0.42, y - r * 0.1),
                        (cx + r * 0.2, y + r * 0.6),
                        (cx - r * 0.2, y + r * 0.6),
                        (cx - r * 0.42, y - r * 0.1),
                    ],
                    dim(paint, tone),
                )
        else:
            for ring, tone in ((1.0, 0.7), (0.78, 0.9), (0.56, 0.75), (0.36, 1.0), (0.18, 0.7)):
                angle = float(rng.uniform(0.0, 3.14))
                brush.ellipse(x, y, r * ring * 0.95, r * ring * 0.85, dim(paint, tone), angle)
