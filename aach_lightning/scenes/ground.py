"""What lies below the horizon: water, grass, desert, snow, bare earth, and a road laid over any of them."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from aach_lightning.scenes.textures import (
    Colour,
    Picture,
    Plane,
    blend,
    columns_of,
    fractal,
    from_image,
    jitter,
    noise,
    over,
    pick,
    ramp,
    rows_of,
    unit,
)

_WATERS: tuple[Colour, ...] = ((22, 84, 128), (28, 120, 140), (16, 60, 96), (54, 110, 120), (40, 130, 170))
_GREENS: tuple[Colour, ...] = ((62, 120, 40), (96, 150, 50), (80, 130, 60), (120, 146, 60), (50, 104, 46))
_SANDS: tuple[Colour, ...] = ((214, 172, 112), (226, 190, 130), (200, 124, 70), (222, 170, 110))


def _recede(texture: Plane, horizon: float) -> Plane:
    """Crowd the rows of a texture towards the horizon, as seen from the side; unchanged when seen from above."""
    if horizon <= 0.0:
        return texture
    size = len(texture)
    depth = np.clip((rows_of(size)[:, 0] - horizon) / (1.0 - horizon), 0.0, 1.0) ** 0.5
    rows = texture[np.minimum((depth * size).astype(np.int64), size - 1)]
    return np.ascontiguousarray(rows)


def water(rng: np.random.Generator, size: int, horizon: float) -> Picture:
    """Flat waves with bright crests."""
    deep = pick(rng, _WATERS)
    shine = jitter(rng, (170, 206, 216), 20)
    swell = _recede(fractal(rng, size, 12, int(rng.integers(2, 5)), 4, float(rng.uniform(0.55, 0.8))), horizon)
    picture = blend(deep, shine, 0.1 + 0.6 * ramp(swell, 0.3, 0.95))
    crests = ramp(swell, float(rng.uniform(0.68, 0.82)), 0.95)
    return over(picture, unit((255, 255, 255)), 0.8 * crests)


def grass(rng: np.random.Generator, size: int, horizon: float) -> Picture:
    """Mottled green with single blades."""
    base = pick(rng, _GREENS)
    light = jitter(rng, (min(base[0] + 60, 255), min(base[1] + 60, 255), base[2] + 10), 16)
    patches = _recede(fractal(rng, size, 5, 5, 3), horizon)
    streaks = _recede(noise(rng, size, 28, 90), horizon)
    picture = blend(base, light, 0.45 * patches + 0.55 * streaks)
    sheet = Image.new("L", (size, size), 128)
    pen = ImageDraw.Draw(sheet)
    top = max(horizon, 0.0)
    for x, t, lean, tone in rng.random((int(rng.integers(40, 150)), 4)):
        y = (top + (1.05 - top) * t) * size
        length = size * (0.015 + 0.09 * t)
        tip = (x * size + (lean - 0.5) * length, y - length)
        pen.line(((x * size, y), tip), fill=int(60 + 150 * tone), width=max(1, int(size * (0.003 + 0.008 * t))))
    blades = (np.asarray(sheet, dtype=np.float32) - 128.0) / 255.0
    return picture + 0.7 * blades


def desert(rng: np.random.Generator, size: int, horizon: float) -> Picture:
    """Dunes: crests lit on one side, ripples across."""
    sand = pick(rng, _SANDS)
    shade = jitter(rng, (int(sand[0] * 0.62), int(sand[1] * 0.52), int(sand[2] * 0.5)), 10)
    top = max(horizon, 0.0)
    tone = np.full((size, size), 0.85, dtype=np.float32)
    rows, columns = rows_of(size), columns_of(size)
    for level in sorted(rng.uniform(top, 1.0, int(rng.integers(2, 6))).tolist()):
        frequency, phase = float(rng.uniform(1.5, 5.0)), float(rng.uniform(0.0, 6.28))
        height = (level - top) * 0.12 + 0.02
        crest = level + height * np.sin(columns * frequency + phase) + 0.4 * height * np.sin(columns * 9.0 + 2 * phase)
        below = rows - crest
        side = 0.55 + 0.45 * np.sin(columns * frequency * 1.7 + phase)
        tone = np.where(below > 0.0, np.clip(side + below * 2.2, 0.25, 1.0), tone).astype(np.float32)
    ripples = _recede(fractal(rng, size, 30, 4, 2), horizon)
    picture = blend(shade, sand, np.clip(tone + 0.35 * (ripples - 0.5), 0.0, 1.1))
    return _grow_cacti(rng, picture, top) if rng.random() < 0.75 else picture


def _grow_cacti(rng: np.random.Generator, picture: Picture, top: float) -> Picture:
    """One to five columns with bent arms."""
    size = picture.shape[1]
    sheet = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    pen = ImageDraw.Draw(sheet)
    for t in sorted(rng.random(int(rng.integers(1, 6))).tolist()):
        x, y = float(rng.random()), top + (1.0 - top) * (0.08 + 0.8 * t)
        tall = 0.1 + 0.26 * t * float(rng.uniform(0.7, 1.2))
        green = (*jitter(rng, (64, 106, 56), 16), 255)
        wide = max(1, int(size * tall * 0.16))
        paths = [[(0.0, 0.0), (0.0, -1.0)]]
        for side in (-1.0, 1.0):
            low = float(rng.uniform(-0.6, -0.3))
            paths.append([(0.0, low), (0.3 * side, low), (0.3 * side, low - 0.32)])
        for path in paths:
            pen.line([(size * (x + px * tall), size * (y + py * tall)) for px, py in path], fill=green, width=wide)
    cacti = from_image(sheet)
    return over(picture, cacti[:3], cacti[3])


def snow(rng: np.random.Generator, size: int, horizon: float) -> Picture:
    """White drifts with blue shadows and glitter."""
    drifts = _recede(fractal(rng, size, 4, 3, 3, 0.4), horizon)
    picture = blend(jitter(rng, (150, 178, 222), 12), (250, 252, 255), ramp(drifts, 0.15, 0.7))
    glitter = ramp(noise(rng, size, 64, 64), 0.8, 1.0)
    return picture + 0.2 * glitter


def earth(rng: np.random.Generator, size: int, horizon: float) -> Picture:
    """Bare brown or grey ground; carries no label."""
    tone = pick(rng, ((104, 92, 80), (112, 110, 108), (96, 100, 92)))
    grit = _recede(fractal(rng, size, 14, 14, 4, 0.95), horizon)
    return blend(jitter(rng, (48, 44, 42), 12), tone, 0.2 + 0.8 * grit)


def road(rng: np.random.Generator, size: int, horizon: float, picture: Picture) -> Picture:
    """Lay an asphalt road over the ground: straight or bent, with edge lines and a broken middle line."""
    top = max(horizon, -0.4)
    depth = np.clip((rows_of(size) - top) / (1.0 - top), 0.0, 1.0)
    vanish, near = float(rng.uniform(0.3, 0.7)), float(rng.uniform(0.3, 0.7))
    bend = float(rng.uniform(-0.35, 0.35))
    half = 0.012 + float(rng.uniform(0.28, 0.5)) * depth
    middle = vanish + (near - vanish) * depth + bend * depth * (1.0 - depth)
    across = (columns_of(size) - middle) / half
    distance = np.abs(across)
    asphalt = blend(jitter(rng, (62, 62, 68), 14), (112, 112, 116), fractal(rng, size, 20, 20, 3, 0.8))
    covered = (1.0 - ramp(distance, 0.97, 1.03)) * (depth > 0.0)
    picture = over(picture, asphalt, covered)
    dashes = np.sin(np.float32(rng.uniform(20.0, 40.0)) * depth**0.4) > 0.0
    edges = np.abs(distance - 0.87) < (0.03 if rng.random() < 0.7 else 0.0)
    lines = ((distance < 0.04) & dashes) | edges
    paint = unit(pick(rng, ((244, 240, 230), (240, 200, 60)), 10))
    return over(picture, paint, np.float32(0.9) * lines * (depth > 0.02))


GROUNDS: dict[str, Callable[[np.random.Generator, int, float], Picture]] = {
    "water": water,
    "grass": grass,
    "desert": desert,
    "snow": snow,
    "earth": earth,
}
