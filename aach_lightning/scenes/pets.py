"""How cats and dogs are drawn."""

import numpy as np

from aach_lightning.scenes.brush import Brush, dim
from aach_lightning.scenes.textures import Colour, pick

_CAT_FUR: tuple[Colour, ...] = ((206, 130, 60), (130, 126, 124), (36, 34, 36), (236, 230, 222), (150, 112, 80))
_DOG_FUR: tuple[Colour, ...] = ((196, 150, 90), (110, 70, 44), (238, 232, 224), (50, 44, 42), (160, 100, 56))
_COLLARS: tuple[Colour, ...] = ((200, 40, 50), (40, 70, 140), (40, 40, 46), (230, 190, 60), (60, 130, 90))


def cat(brush: Brush, rng: np.random.Generator) -> None:
    """A cat's face, or a sitting or a walking cat: pointed ears, whiskers, a long tail."""
    fur = pick(rng, _CAT_FUR)
    dark, kind = dim(fur, 0.6), rng.random()
    if kind < (0.6 if brush.near else 0.1):
        _cat_head(brush, rng, fur, 0.0, -0.46, 0.46)
        return
    if rng.random() < 0.55:
        brush.line([(0.2, -0.05), (0.6, 0.0), (0.62, -0.35), (0.5, -0.45)], 0.1, dark, curved=True)
        brush.shape([(-0.2, -0.62), (-0.28, -0.3), (-0.3, 0.0), (0.3, 0.0), (0.32, -0.25), (0.2, -0.6)], fur)
        brush.shape([(-0.1, -0.55), (-0.12, -0.2), (0.0, -0.06), (0.12, -0.2), (0.1, -0.55)], dim(fur, 1.35))
        for y in (-0.2, -0.3, -0.4):
            brush.line([(0.3, y), (0.18, y + 0.02)], 0.03, dark)
            brush.line([(-0.29, y), (-0.17, y + 0.02)], 0.03, dark)
        for x in (-0.12, 0.12):
            brush.ellipse(x, -0.04, 0.09, 0.045, dim(fur, 1.15))
        _cat_head(brush, rng, fur, 0.0, -0.73, 0.235)
        return
    brush.shrink(0.68)
    brush.line([(-0.6, -0.5), (-0.9, -0.6), (-0.85, -1.0), (-1.0, -0.98)], 0.1, fur, curved=True)
    for x, tone in ((-0.4, dark), (0.3, dark), (-0.52, fur), (0.42, fur)):
        brush.line([(x, -0.35), (x + float(rng.uniform(-0.1, 0.1)), 0.0)], 0.11, tone)
    brush.shape(
        [(-0.68, -0.45), (-0.5, -0.62), (0.0, -0.62), (0.5, -0.66), (0.6, -0.4), (0.3, -0.26), (-0.3, -0.28)], fur
    )
    for x in np.arange(-0.45, 0.4, 0.17):
        brush.line([(float(x), -0.62), (float(x) + 0.03, -0.45)], 0.04, dark)
    _cat_head(brush, rng, fur, 0.68, -0.7, 0.24)


def _cat_head(brush: Brush, rng: np.random.Generator, fur: Colour, x: float, y: float, r: float) -> None:
    dark, light = dim(fur, 0.6), dim(fur, 1.35)
    iris = pick(rng, ((150, 190, 60), (220, 180, 50), (90, 160, 200)))
    for side in (-1, 1):
        brush.polygon(
            [
                (x + side * r * 0.98, y - r * 0.1),
                (x + side * r * 0.86, y - r * 1.2),
                (x + side * r * 0.18, y - r * 0.75),
            ],
            fur,
        )
        brush.polygon(
            [(x + side * r * 0.84, y - r * 0.4), (x + side * r * 0.78, y - r), (x + side * r * 0.4, y - r * 0.72)],
            (226, 160, 150),
        )
    brush.ellipse(x, y, r * 1.05, r * 0.88, fur)
    for dx in (-0.22, 0.0, 0.22):
        brush.line([(x + dx * r, y - r * 0.82), (x + dx * r * 0.8, y - r * 0.48)], r * 0.09, dark)
    for side in (-1, 1):
        brush.ellipse(x + side * r * 0.2, y + r * 0.36, r * 0.27, r * 0.21, light)
        brush.ellipse(x + side * r * 0.44, y - r * 0.1, r * 0.2, r * 0.17, iris)
        brush.ellipse(x + side * r * 0.44, y - r * 0.1, r * 0.07, r * 0.16, (10, 10, 10))
        for lean in (-0.12, 0.04, 0.2):
            start, end = (x + side * r * 0.3, y + r * 0.33), (x + side * r * 1.35, y + r * (0.3 + lean))
            brush.line([start, end], r * 0.03, (240, 240, 240))
    brush.polygon([(x - r * 0.12, y + r * 0.12), (x + r * 0.12, y + r * 0.12), (x, y + r * 0.26)], (214, 110, 116))
    brush.line([(x - r * 0.2, y + r * 0.42), (x, y + r * 0.34), (x + r * 0.2, y + r * 0.42)], r * 0.05, dark)


def dog(brush: Brush, rng: np.random.Generator) -> None:
    """A dog's face, or a standing or a sitting dog: hanging ears, a long muzzle, at times a tongue."""
    fur = pick(rng, _DOG_FUR)
    ear, kind = dim(fur, float(rng.uniform(0.5, 0.85))), rng.random()
    collar = pick(rng, _COLLARS)
    if kind < (0.6 if brush.near else 0.1):
        _dog_face(brush, rng, fur, ear)
        return
    if rng.random() < 0.55:
        brush.shrink(0.7)
        brush.line([(-0.62, -0.6), (-0.85, -0.7), (-0.9, -0.95)], 0.08, fur, curved=True)
        for x, tone in ((-0.42, ear), (0.32, ear), (-0.55, fur), (0.44, fur)):
            brush.line([(x, -0.4), (x + float(rng.uniform(-0.12, 0.12)), 0.0)], 0.12, tone)
        brush.shape(
            [(-0.7, -0.5), (-0.5, -0.68), (0.1, -0.66), (0.56, -0.72), (0.62, -0.42), (0.3, -0.3), (-0.3, -0.36)], fur
        )
        if rng.random() < 0.4:
            brush.ellipse(-0.2, -0.54, 0.2, 0.12, ear)
        brush.polygon([(0.4, -0.7), (0.7, -0.86), (0.8, -0.66), (0.58, -0.45)], fur)
        brush.line([(0.46, -0.72), (0.66, -0.54)], 0.05, collar)
        _dog_profile(brush, rng, fur, ear, 0.74, -0.82)
        return
    brush.line([(-0.3, -0.05), (-0.55, -0.05), (-0.6, -0.25)], 0.08, fur, curved=True)
    brush.shape([(-0.38, 0.0), (-0.4, -0.22), (-0.15, -0.5), (0.1, -0.72), (0.3, -0.6), (0.26, -0.2), (0.28, 0.0)], fur)
    brush.line([(0.2, -0.45), (0.22, 0.0)], 0.12, dim(fur, 1.1))
    brush.line([(0.0, -0.62), (0.3, -0.56)], 0.05, collar)
    _dog_profile(brush, rng, fur, ear, 0.2, -0.8)


def _dog_profile(brush: Brush, rng: np.random.Generator, fur: Colour, ear: Colour, x: float, y: float) -> None:
    brush.ellipse(x, y, 0.2, 0.18, fur)
    brush.shape(
        [(x + 0.05, y - 0.08), (x + 0.3, y - 0.03), (x + 0.42, y + 0.03), (x + 0.36, y + 0.13), (x + 0.05, y + 0.15)],
        dim(fur, 1.1),
    )
    if rng.random() < 0.5:
        brush.ellipse(x + 0.28, y + 0.17, 0.04, 0.08, (226, 100, 110), 0.2)
    brush.ellipse(x + 0.41, y + 0.0, 0.05, 0.04, (20, 18, 18))
    brush.ellipse(x + 0.08, y - 0.05, 0.03, 0.03, (10, 10, 10))
    brush.shape(
        [(x - 0.12, y - 0.14), (x + 0.0, y - 0.08), (x - 0.03, y + 0.2), (x - 0.16, y + 0.22), (x - 0.22, y + 0.0)], ear
    )


def _dog_face(brush: Brush, rng: np.random.Generator, fur: Colour, ear: Colour) -> None:
    brush.shape(
        [
            (-0.34, -0.72),
            (-0.3, -0.95),
            (0.0, -1.0),
            (0.3, -0.95),
            (0.34, -0.72),
            (0.3, -0.25),
            (0.0, -0.08),
            (-0.3, -0.25),
        ],
        fur,
    )
    if rng.random() < 0.4:
        brush.ellipse(0.15, -0.68, 0.15, 0.17, ear)
    for side in (-1, 1):
        brush.shape(
            [(side * 0.22, -0.96), (side * 0.42, -0.9), (side * 0.54, -0.5), (side * 0.42, -0.28), (side * 0.32, -0.6)],
            ear,
        )
        brush.ellipse(side * 0.15, -0.66, 0.055, 0.06, (30, 20, 14))
        brush.ellipse(side * 0.14, -0.68, 0.015, 0.015, (250, 250, 250))
    if rng.random() < 0.6:
        brush.ellipse(0.0, -0.1, 0.09, 0.16, (228, 104, 116))
    brush.ellipse(0.0, -0.34, 0.19, 0.2, dim(fur, 1.25))
    brush.ellipse(0.0, -0.43, 0.1, 0.075, (24, 20, 20))
    brush.line([(0.0, -0.38), (0.0, -0.28), (-0.12, -0.22)], 0.02, (40, 30, 28))
    brush.line([(0.0, -0.28), (0.12, -0.22)], 0.02, (40, 30, 28))
