"""What fills the upper part of a scene: clear sky, clouds, sunset, night; and plain backdrops without a label."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from aach_lightning.scenes.textures import (
    Colour,
    Picture,
    Plane,
    blend,
    columns_of,
    fractal,
    from_image,
    gradient,
    jitter,
    noise,
    over,
    pick,
    ramp,
    rows_of,
    to_image,
    unit,
)

_BLUES: tuple[Colour, ...] = ((48, 118, 208), (88, 156, 226), (30, 92, 176), (104, 172, 220), (60, 140, 200))
_BACKDROPS: tuple[Colour, ...] = (
    (196, 178, 150), (120, 92, 70), (172, 60, 64), (210, 208, 200), (94, 104, 112), (232, 206, 170),
    (130, 80, 130), (60, 52, 60), (216, 160, 170), (150, 150, 92), (70, 110, 110), (226, 190, 60),
)  # fmt: skip


def _glow(size: int, x: float, y: float, radius: float) -> Plane:
    """1 at (x, y), falling to about 0.1 at a distance of `radius`."""
    squared = (columns_of(size) - x) ** 2 + (rows_of(size) - y) ** 2
    return np.reciprocal(1.0 + squared * (9.0 / radius**2), dtype=np.float32)


def clear_sky(rng: np.random.Generator, size: int, horizon: float) -> Picture:
    """Blue, paler towards the horizon, at times with a faint haze or the glow of the sun."""
    top = pick(rng, _BLUES)
    low = jitter(rng, (196, 220, 236), 14)
    share = np.clip(rows_of(size) / max(horizon, 0.35), 0.0, 1.0) ** float(rng.uniform(0.8, 2.0))
    picture = blend(top, low, np.broadcast_to(share, (size, size)))
    if rng.random() < 0.3:
        glow = _glow(size, float(rng.uniform(0.0, 1.0)), float(rng.uniform(-0.1, 0.25)), 0.3)
        picture = over(picture, unit((255, 250, 225)), 0.5 * glow)
    return picture


def clouds(rng: np.random.Generator, size: int, picture: Picture, overcast: bool) -> Picture:
    """Lay clouds over a sky: separate heaps, or a closed grey cover when `overcast`."""
    columns = int(rng.integers(2, 5))
    body = fractal(rng, size, columns + int(rng.integers(0, 4)), columns, 4, 0.5)
    relief = np.roll(body, size // 24, axis=0) - body
    light = float(rng.uniform(0.86, 1.0)) - 0.8 * np.clip(relief, -0.1, 0.2)
    if overcast:
        tone = jitter(rng, (176, 182, 192), 22)
        cover: Plane = np.ones_like(body)
        light = light * (0.72 + 0.3 * body)
        white = blend(tone, (250, 250, 252), ramp(body, 0.35, 0.95)) * light
    else:
        edge = float(rng.uniform(0.42, 0.56))
        cover = ramp(body, edge, edge + float(rng.uniform(0.08, 0.22)))
        white = unit((255, 253, 250)) * np.clip(light, 0.55, 1.0)
    return over(picture, white, cover)


def sunset(rng: np.random.Generator, size: int, horizon: float) -> Picture:
    """Purple over red to yellow at the horizon, a low sun, dark streaks of cloud."""
    tops: tuple[Colour, ...] = ((58, 44, 96), (96, 62, 110), (40, 60, 110), (120, 70, 90))
    middles: tuple[Colour, ...] = ((214, 92, 62), (230, 120, 60), (196, 70, 90))
    stops = (pick(rng, tops), pick(rng, middles), jitter(rng, (250, 176, 76), 16), jitter(rng, (255, 214, 120), 16))
    picture = gradient(size, stops)
    rows = np.clip((np.arange(size) / max(horizon, 0.4)).astype(np.int64), 0, size - 1)
    picture = picture[:, rows]
    x, y = float(rng.uniform(0.15, 0.85)), horizon * float(rng.uniform(0.55, 1.0))
    picture = over(picture, unit((255, 226, 140)), 0.85 * _glow(size, x, y, 0.32))
    streaks = ramp(fractal(rng, size, 9, 2, 4), 0.5, 0.85) * float(rng.uniform(0.2, 0.75))
    picture = over(picture, unit(jitter(rng, (110, 50, 80), 20)), streaks)
    if rng.random() < 0.8:
        radius = float(rng.uniform(0.035, 0.08))
        distance = np.sqrt((columns_of(size) - x) ** 2 + (rows_of(size) - y) ** 2)
        disc = 1.0 - ramp(distance, radius * 0.9, radius * 1.1)
        picture = over(picture, unit((255, 246, 214)), disc)
    return picture


def night(rng: np.random.Generator, size: int, horizon: float) -> Picture:
    """Near black to deep blue, with stars, a moon or a milky band."""
    stops = (jitter(rng, (8, 10, 26), 8), jitter(rng, (16, 22, 52), 10), jitter(rng, (42, 46, 84), 16))
    picture = np.clip(gradient(size, stops), 0.01, 1.0)
    if rng.random() < 0.4:
        milk = fractal(rng, size, 3, 3, 4)
        picture += (0.35 * ramp(milk, 0.5, 1.0)) * unit((120, 120, 190))
    sheet = Image.new("L", (size, size), 0)
    pen = ImageDraw.Draw(sheet)
    for x, y, bright in rng.random((int(rng.integers(15, 110)), 3)):
        half = size * (0.0025 + 0.005 * bright**4)
        cx, cy = x * size, y * size * max(horizon, 0.3)
        pen.ellipse((cx - half, cy - half, cx + half, cy + half), fill=int(110 + 145 * bright))
    stars = np.asarray(sheet, dtype=np.float32) / 255.0
    picture = over(picture, unit((255, 255, 255)), stars)
    if rng.random() < 0.55:
        x, y = float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.08, 0.8)) * horizon
        radius = float(rng.uniform(0.04, 0.09))
        distance = np.sqrt((columns_of(size) - x) ** 2 + (rows_of(size) - y) ** 2)
        disc = 1.0 - ramp(distance, radius * 0.92, radius * 1.08)
        if rng.random() < 0.5:
            shift = np.sqrt((columns_of(size) - x - radius * 0.6) ** 2 + (rows_of(size) - y + radius * 0.2) ** 2)
            disc = disc * ramp(shift, radius * 0.92, radius * 1.08)
        halo = 0.25 * _glow(size, x, y, radius * 2.5)
        picture = over(picture, unit((250, 246, 222)), np.maximum(disc, halo))
    return picture


def backdrop(rng: np.random.Generator, size: int) -> Picture:
    """A surface without a label: mottled wall, stripes, out-of-focus lights, or a table edge before a wall."""
    first, second = pick(rng, _BACKDROPS), pick(rng, _BACKDROPS)
    kind = int(rng.integers(5))
    if kind == 0:
        picture = blend(first, jitter(rng, first, 50), fractal(rng, size, 3, 3, 4))
    elif kind == 1:
        angle, count = float(rng.uniform(0.0, np.pi)), float(rng.uniform(4.0, 14.0))
        wave = np.sin((np.cos(angle) * columns_of(size) + np.sin(angle) * rows_of(size)) * np.float32(count * 6.28))
        picture = blend(first, jitter(rng, first, 60), ramp(wave, -0.2, 0.2))
    elif kind == 2:
        sheet = to_image(0.5 * blend(first, second, noise(rng, size, 2, 2)))
        pen = ImageDraw.Draw(sheet)
        for _ in range(int(rng.integers(8, 26))):
            (cx, cy), half = rng.random(2) * size, size * float(rng.uniform(0.03, 0.1))
            pen.ellipse((cx - half, cy - half, cx + half, cy + half), fill=pick(rng, _BACKDROPS, 40))
        picture = from_image(sheet.filter(ImageFilter.GaussianBlur(size * 0.02)))
    elif kind == 3:
        edge = float(rng.uniform(0.5, 0.85))
        grain = fractal(rng, size, 24, 3, 3)
        wall = blend(first, jitter(rng, first, 30), noise(rng, size, 3, 3))
        table = blend(second, jitter(rng, (90, 60, 40), 30), grain)
        picture = np.where(rows_of(size) < edge, wall, table)
    else:
        picture = gradient(size, (first, second))
    return picture
