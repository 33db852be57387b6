"""What comes between scene and file: snowfall, things in the way, exposure, blur, noise."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from aach_lightning.scenes.textures import columns_of, from_image, rows_of, to_image


def obstruct(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """In one picture of four put something without a label before the lens: posts, twigs or a blurred edge.

    Covers about a tenth of the picture at most.
    """
    kind = rng.random()
    if kind >= 0.26:
        return image
    size = image.width
    cover = Image.new("L", image.size, 0)
    pen = ImageDraw.Draw(cover)
    if kind < 0.1:
        for x in rng.random(int(rng.integers(1, 4))):
            half, lean = float(rng.uniform(0.006, 0.016)), float(rng.normal(0.0, 0.06))
            corners = [(x - half, -0.1), (x + half, -0.1), (x + half + lean, 1.1), (x - half + lean, 1.1)]
            pen.polygon([(px * size, py * size) for px, py in corners], fill=255)
    elif kind < 0.18:
        x, y, lean = float(rng.uniform(0.0, 1.0)), -0.02, float(rng.normal(0.0, 0.03))
        for _ in range(int(rng.integers(4, 9))):
            end = x + lean + float(rng.normal(0.0, 0.02)), y + float(rng.uniform(0.05, 0.09))
            pen.line((x * size, y * size, end[0] * size, end[1] * size), fill=255, width=max(1, size // 90))
            x, y = end
            long, wide, side = (float(value) for value in rng.uniform((0.04, 0.012, -1.0), (0.08, 0.022, 1.0)))
            tip = x + math.copysign(long, side), y + 0.5 * long
            leaf = [(x, y), (x + 0.5 * (tip[0] - x), y - wide), tip, (x + 0.4 * (tip[0] - x), y + 0.25 * long + wide)]
            pen.polygon([(px * size, py * size) for px, py in leaf], fill=255)
    else:
        x, y = float(rng.choice((0.0, 1.0))), float(rng.uniform(0.0, 1.0))
        half = size * float(rng.uniform(0.1, 0.22))
        pen.ellipse((x * size - half, y * size - half, x * size + half, y * size + half), fill=235)
    blur = size * float(rng.uniform(0.0, 0.012)) if kind < 0.18 else size * 0.03
    tone = rng.integers(20, 120, 3)
    image.paste((int(tone[0]), int(tone[1]), int(tone[2])), None, cover.filter(ImageFilter.GaussianBlur(blur)))
    return image


def let_it_snow(image: Image.Image, rng: np.random.Generator) -> None:
    """Draw flakes all over the image, the near ones larger."""
    size = image.width
    pen = ImageDraw.Draw(image)
    for x, y, near in rng.random((int(rng.integers(25, 110)), 3)).tolist():
        half = size * (0.003 + 0.009 * near**3)
        box = (x * size - half, y * size - half, x * size + half, y * size + half)
        pen.ellipse(box, fill=(248, 250, 255))


def expose(
    image: Image.Image, supersampling: int, rng: np.random.Generator, grain: np.random.Generator
) -> NDArray[np.uint8]:
    """Blur, reduce to the final resolution, tint, vignette, add sensor noise.

    Args:
        image: The painted scene, `supersampling` times too large.
        supersampling: Factor of the reduction.
        rng: For everything that must not depend on the resolution.
        grain: For the noise of single pixels.

    Returns:
        uint8, H x W x 3.
    """
    image = image.reduce(supersampling)
    softness = min(float(rng.gamma(1.2, 0.0036)), 0.012) * image.width
    picture = from_image(image.filter(ImageFilter.GaussianBlur(softness)))
    size = image.width
    gain = np.float32(rng.uniform(0.82, 1.14)) * (1.0 + rng.normal(0.0, 0.03, (3, 1, 1))).astype(np.float32)
    middle = picture.mean(dtype=np.float32)
    picture = middle + (picture - middle) * np.float32(rng.uniform(0.8, 1.15))
    if rng.random() < 0.1:
        grey = picture.mean(axis=0, keepdims=True)
        picture = picture + np.float32(rng.uniform(0.4, 1.0)) * (grey - picture)
    distance = (columns_of(size) - 0.5) ** 2 + (rows_of(size) - 0.5) ** 2
    picture = picture * gain * (1.0 - np.float32(rng.uniform(0.0, 0.6)) * distance)
    strength = np.float32(rng.gamma(1.3, 0.009))
    picture = picture + strength * grain.standard_normal(picture.shape, dtype=np.float32)
    return np.asarray(to_image(picture))
