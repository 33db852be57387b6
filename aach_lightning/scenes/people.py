"""How a person is drawn."""

import numpy as np

from aach_lightning.scenes.brush import Brush, Point, dim
from aach_lightning.scenes.textures import Colour, pick

_SKIN: tuple[Colour, ...] = ((240, 200, 170), (200, 150, 116), (140, 96, 68), (96, 64, 46), (226, 180, 150))
_CLOTH: tuple[Colour, ...] = (
    (200, 40, 50), (40, 70, 140), (240, 240, 236), (40, 40, 46), (230, 190, 60), (60, 130, 90), (150, 80, 140),
    (110, 110, 120), (230, 130, 160),
)  # fmt: skip


def person(brush: Brush, rng: np.random.Generator) -> None:
    """A standing or walking figure, or a head and shoulders."""
    skin, hair = (
        pick(rng, _SKIN, 10),
        pick(rng, ((40, 28, 20), (110, 70, 40), (210, 170, 90), (130, 130, 130), (20, 18, 18))),
    )
    shirt, trousers = pick(rng, _CLOTH), pick(rng, _CLOTH)
    if rng.random() < (0.6 if brush.near else 0.05):
        brush.shrink(0.85)
        brush.shape([(-0.5, 0.02), (-0.48, -0.22), (-0.2, -0.34), (0.2, -0.34), (0.48, -0.22), (0.5, 0.02)], shirt)
        brush.polygon([(-0.1, -0.45), (0.1, -0.45), (0.13, -0.28), (-0.13, -0.28)], dim(skin, 0.85))
        long = float(rng.uniform(0.0, 0.35))
        brush.shape(
            [(-0.27, -0.6 + long), (-0.27, -0.86), (0.0, -1.0), (0.27, -0.86), (0.27, -0.6 + long), (0.0, -0.6)], hair
        )
        brush.ellipse(0.0, -0.65, 0.21, 0.26, skin)
        brush.shape([(-0.22, -0.72), (-0.2, -0.92), (0.0, -0.99), (0.2, -0.92), (0.22, -0.72), (0.05, -0.85)], hair)
        for side in (-1, 1):
            brush.ellipse(side * 0.085, -0.68, 0.032, 0.02, (250, 250, 250))
            brush.ellipse(side * 0.085, -0.68, 0.016, 0.018, (30, 20, 20))
            brush.line([(side * 0.04, -0.74), (side * 0.13, -0.745)], 0.015, dim(hair, 0.8))
        brush.line([(0.0, -0.66), (0.02, -0.58), (-0.01, -0.575)], 0.014, dim(skin, 0.7))
        brush.line([(-0.07, -0.5), (0.0, -0.48), (0.07, -0.5)], 0.02, (176, 70, 70), curved=True)
        return
    stride, swing = float(rng.uniform(0.02, 0.2)), float(rng.uniform(0.05, 0.3))
    skirt = rng.random() < 0.3
    for side, tone in ((-1, 0.85), (1, 1.0)):
        knee: Point = (side * stride * 0.6, -0.26)
        brush.line([(side * 0.04, -0.5), knee, (side * stride, -0.02)], 0.09, dim(skin if skirt else trousers, tone))
        brush.ellipse(side * stride + 0.03, -0.015, 0.06, 0.025, (40, 30, 28))
    raised = rng.random() < 0.15
    brush.line(
        [(-0.1, -0.78), (-0.14 - swing * 0.3, -0.62), (-swing, -1.0 if raised else -0.46)], 0.06, dim(shirt, 0.8)
    )
    if skirt:
        brush.polygon([(-0.1, -0.55), (0.1, -0.55), (0.19, -0.28), (-0.19, -0.28)], trousers)
    brush.shape([(-0.14, -0.8), (-0.11, -0.48), (0.11, -0.48), (0.14, -0.8), (0.0, -0.84)], shirt)
    brush.line([(0.11, -0.78), (0.15 + swing * 0.3, -0.62), (swing, -0.46)], 0.06, shirt)
    brush.ellipse(swing, -0.45, 0.03, 0.03, skin)
    brush.line([(0.0, -0.86), (0.0, -0.8)], 0.06, skin)
    brush.ellipse(0.0, -0.93, 0.085, 0.085 if rng.random() < 0.7 else 0.11, hair)
    brush.ellipse(0.015, -0.905, 0.06, 0.07, skin)
