"""What stands on the horizon: mountains, a forest, a city skyline."""

import numpy as np
from numpy.typing import NDArray
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


def _ridge(rng: np.random.Generator, size: int, roughness: float) -> NDArray[np.float32]:
    """A jagged line in [0, 1] over `size` columns, by midpoint displacement on 65 points."""
    heights = rng.random(3)
    spread = 0.55
    while len(heights) < 65:
        middles = (heights[:-1] + heights[1:]) / 2 + spread * (rng.random(len(heights) - 1) - 0.5)
        merged = np.empty(2 * len(heights) - 1)
        merged[::2], merged[1::2] = heights, middles
        heights, spread = merged, spread * roughness
    heights = (heights - heights.min()) / max(float(np.ptp(heights)), 1e-6)
    line: NDArray[np.float32] = np.interp(np.linspace(0.0, 64.0, size), np.arange(65), heights).astype(np.float32)
    return line


def mountain(rng: np.random.Generator, size: int, base: float, height: float) -> tuple[Picture, Plane]:
    """One to three ridges, the nearer the darker, at times capped with ice."""
    rocks: tuple[Colour, ...] = ((96, 92, 100), (110, 90, 78), (84, 96, 104), (120, 110, 100))
    picture = np.zeros((3, size, size), dtype=np.float32)
    cover = np.zeros((size, size), dtype=np.float32)
    count = int(rng.integers(1, 4))
    capped = rng.random() < 0.55
    rows = rows_of(size)
    for layer in range(count):
        share = 1.0 - 0.3 * layer
        crest = base - height * share * (0.25 + 0.75 * _ridge(rng, size, 0.52)[None, :])
        inside = rows - crest
        rock = pick(rng, rocks)
        haze = 0.45 * (count - 1 - layer) / max(count - 1, 1)
        facets = fractal(rng, size, 5, 9, 4, 0.65)
        relief = np.clip(0.5 + 5.0 * (facets - np.roll(facets, size // 40, axis=1)), 0.0, 1.0)
        body = blend((int(rock[0] * 0.45), int(rock[1] * 0.45), int(rock[2] * 0.5)), rock, relief)
        if capped and layer < 2:
            line = 0.05 + 0.16 * facets
            ice = (1.0 - ramp(inside / max(height, 0.05), 0.0, 1.0)) * (inside < line * height * 2.2)
            body = over(body, unit((250, 252, 255)), 0.9 * ice * (0.35 + 0.65 * relief))
        body += haze * (unit((168, 186, 208)) - body)
        mask = ramp(inside, -0.004, 0.004)
        picture = over(picture, body, mask)
        cover = np.maximum(cover, mask)
    return picture, cover


def forest(rng: np.random.Generator, size: int, base: float, height: float) -> tuple[Picture, Plane]:
    """Rows of overlapping crowns, conifers or broad leaves, with trunks where they come near."""
    leaves: tuple[Colour, ...] = ((30, 74, 36), (44, 92, 40), (24, 62, 44), (70, 96, 36), (120, 90, 30))
    tone = pick(rng, leaves)
    pointed = rng.random() < 0.5
    sheet = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    pen = ImageDraw.Draw(sheet)
    layers = 3 if height < 0.5 else 5
    for layer in range(layers):
        shade = 0.45 + 0.6 * layer / (layers - 1)
        floor = base - height * 0.45 * (1.0 - layer / (layers - 1))
        tall = height * 0.55
        step = float(rng.uniform(0.28, 0.5)) * tall
        for x in np.arange(-0.05, 1.05, max(step * 0.6, 0.03)):
            cx = float(x + rng.uniform(-0.3, 0.3) * step)
            top = floor - tall * float(rng.uniform(0.6, 1.0))
            dim = shade * float(rng.uniform(0.8, 1.2))
            red, green, blue = jitter(rng, tone, 14)
            fill = (min(int(red * dim), 255), min(int(green * dim), 255), min(int(blue * dim), 255), 255)
            half = step * float(rng.uniform(0.4, 0.7))
            trunk = (int(70 * dim), int(52 * dim), int(38 * dim), 255)
            low = floor + 0.12 * tall
            pen.rectangle(
                [size * (cx - half * 0.12), size * top, size * (cx + half * 0.12), size * (low + 0.1)], fill=trunk
            )
            if pointed:
                for cut in (0.0, 0.3, 0.55):
                    peak, foot = top + cut * (low - top), top + (cut + 0.45) * (low - top)
                    wide = half * (0.55 + 0.8 * cut)
                    corners = [(cx, peak), (cx - wide, foot), (cx + wide, foot)]
                    pen.polygon([(size * px, size * py) for px, py in corners], fill=fill)
            else:
                middle = top + 0.4 * (low - top)
                box = [size * (cx - half), size * top, size * (cx + half), size * (2 * middle - top)]
                pen.ellipse(box, fill=fill)
    data = from_image(sheet)
    floor_rows = (rows_of(size) > base - 0.2 * height) & (rows_of(size) <= base)
    cover = np.maximum(data[3], floor_rows.astype(np.float32))
    speckle = 0.55 + 0.9 * noise(rng, size, 56, 56)
    under = unit((tone[0] // 3, tone[1] // 3, tone[2] // 3))
    return over(under, data[:3], data[3]) * speckle, cover


def city(rng: np.random.Generator, size: int, base: float, height: float, lit: bool) -> tuple[Picture, Plane]:
    """Blocks with rows of windows; the windows shine when `lit`."""
    walls: tuple[Colour, ...] = ((150, 140, 130), (120, 130, 146), (176, 160, 140), (96, 100, 110), (160, 110, 90))
    sheet = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    pen = ImageDraw.Draw(sheet)
    for layer in range(2):
        x = -0.05
        while x < 1.0:
            width = float(rng.uniform(0.07, 0.19))
            top = base - height * float(rng.uniform(0.3, 1.0)) * (1.0 if layer == 0 else 0.7)
            wall = pick(rng, walls)
            dim = 0.75 + 0.25 * layer
            fill = (int(wall[0] * dim), int(wall[1] * dim), int(wall[2] * dim), 255)
            pen.rectangle([size * x, size * top, size * (x + width), size * base], fill=fill)
            if rng.random() < 0.2:
                middle = x + width / 2
                corners = [(x, top), (x + width, top), (middle, top - 0.4 * width)]
                pen.polygon([(size * px, size * py) for px, py in corners], fill=fill)
            across, pitch = int(rng.integers(2, 6)), float(rng.uniform(0.026, 0.042))
            dark = (int(wall[0] * 0.4), int(wall[1] * 0.45), int(wall[2] * 0.55), 255)
            for row in range(int((base - top) / pitch)):
                glass = rng.random(across)
                for column in range(across):
                    left = x + width * (column + 0.25) / across
                    up = top + pitch * (row + 0.3)
                    shines = glass[column] < (0.55 if lit else 0.12)
                    colour = (255, 226, 150, 255) if lit and shines else (200, 214, 226, 255) if shines else dark
                    box = [size * left, size * up, size * (left + width * 0.5 / across), size * (up + pitch * 0.5)]
                    pen.rectangle(box, fill=colour)
            x += width * float(rng.uniform(0.85, 1.15))
    data = from_image(sheet)
    slope = 0.9 + 0.2 * columns_of(size) if rng.random() < 0.5 else 1.1 - 0.2 * columns_of(size)
    return data[:3] * slope, data[3]
