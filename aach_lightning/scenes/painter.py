"""From a layout to a picture."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from aach_lightning.scenes.air import backdrop, clear_sky, clouds, night, sunset
from aach_lightning.scenes.bands import city, forest, mountain
from aach_lightning.scenes.brush import Brush, Pose
from aach_lightning.scenes.camera import expose, let_it_snow, obstruct
from aach_lightning.scenes.fixtures import flower, house, tree
from aach_lightning.scenes.ground import GROUNDS, road
from aach_lightning.scenes.layout import Layout, Thing
from aach_lightning.scenes.people import person
from aach_lightning.scenes.pets import cat, dog
from aach_lightning.scenes.textures import Picture, fractal, from_image, over, ramp, rows_of, to_image, unit
from aach_lightning.scenes.vehicles import balloon, bicycle, boat, car
from aach_lightning.scenes.wildlife import bird, fish

SUPERSAMPLING = 2
"""Everything is painted at this multiple of the final resolution, which smooths its edges."""

THINGS: dict[str, Callable[[Brush, np.random.Generator], None]] = {
    "balloon": balloon, "bicycle": bicycle, "bird": bird, "boat": boat, "car": car, "cat": cat,
    "dog": dog, "fish": fish, "flower": flower, "house": house, "person": person, "tree": tree,
}  # fmt: skip

_SHADOWLESS = ("fish", "boat", "flower")


def paint(layout: Layout, image_size: int, streams: Iterator[np.random.Generator]) -> NDArray[np.uint8]:
    """Paint a scene.

    Args:
        layout: What to paint.
        image_size: Pixels per side.
        streams: Random generators, one for each part of the scene, so that no part depends on how another is drawn.

    Returns:
        uint8, image_size x image_size x 3.
    """
    size = SUPERSAMPLING * image_size
    tone = next(streams)
    light = _light(layout, tone)
    picture = _air(layout, size, next(streams))
    picture = _band(layout, size, next(streams), picture, light)
    picture = _ground(layout, size, next(streams), picture, light)
    image = to_image(picture)
    for thing in layout.things:
        image = _thing(image, thing, next(streams), light, shadow=layout.horizon < 1.0)
    weather, lens = next(streams), next(streams)
    if layout.ground == "snow" and weather.random() < 0.5:
        let_it_snow(image, weather)
    image = obstruct(image, lens)
    return expose(image, SUPERSAMPLING, next(streams), next(streams))


def _light(layout: Layout, rng: np.random.Generator) -> NDArray[np.float32]:
    """Colour of the light on ground and things."""
    if "night" in layout.air:
        return unit((112, 120, 164)) * np.float32(rng.uniform(0.8, 1.3))
    if "sunset" in layout.air:
        return unit((220, 150, 116)) * np.float32(rng.uniform(0.65, 1.1))
    if layout.air == ("clouds",):
        return unit((226, 230, 236)) * np.float32(rng.uniform(0.85, 1.0))
    return unit((255, 252, 246)) * np.float32(rng.uniform(0.85, 1.05))


def _air(layout: Layout, size: int, rng: np.random.Generator) -> Picture:
    if not layout.air:
        return backdrop(rng, size)
    if "sunset" in layout.air:
        return sunset(rng, size, layout.horizon)
    if "night" in layout.air:
        return night(rng, size, layout.horizon)
    picture = clear_sky(rng, size, layout.horizon)
    if "clouds" in layout.air:
        picture = clouds(rng, size, picture, overcast="sky" not in layout.air)
    return picture


def _band(layout: Layout, size: int, rng: np.random.Generator, picture: Picture, light: NDArray[np.float32]) -> Picture:
    if not layout.band:
        return picture
    lit = "night" in layout.air
    foot = layout.horizon + 0.01
    if layout.band == "city":
        body, cover = city(rng, size, foot, layout.band_height, lit)
    else:
        raise_band = mountain if layout.band == "mountain" else forest
        body, cover = raise_band(rng, size, foot, layout.band_height)
    shaded = body * light
    if lit:
        shining = ramp(body.max(axis=0), 0.9, 0.98)
        shaded = over(shaded, body, shining)
    return over(picture, shaded, cover)


def _ground(
    layout: Layout, size: int, rng: np.random.Generator, picture: Picture, light: NDArray[np.float32]
) -> Picture:
    if not layout.ground:
        return picture
    surface = GROUNDS[layout.ground](rng, size, layout.horizon)
    if layout.road:
        surface = road(rng, size, layout.horizon, surface)
    edge = ramp(rows_of(size) - layout.horizon, -0.004, 0.004)
    shaded = np.clip(surface, 0.0, 1.0) * light
    if layout.ground == "water" and layout.air:
        # Water mirrors the air above it.
        mirror = picture[:, : size // 3].mean(axis=(1, 2), keepdims=True)
        shaded = over(shaded, mirror, np.full((1, 1), 0.3, dtype=np.float32))
    return over(picture, shaded, edge)


def _thing(
    image: Image.Image, thing: Thing, rng: np.random.Generator, light: NDArray[np.float32], shadow: bool
) -> Image.Image:
    size = image.width
    brush = Brush(size, thing.pose)
    THINGS[thing.concept](brush, rng)
    box = brush.layer.getbbox()
    if box is None:
        return image
    layer = brush.layer.crop(box)
    grain = fractal(rng, 64, 8, 8, 3, 0.7)
    relief = np.asarray(Image.fromarray(grain).resize(layer.size, Image.Resampling.BILINEAR))
    slope = np.linspace(-1.0, 1.0, layer.width, dtype=np.float32) * np.float32(rng.uniform(-0.16, 0.16))
    fall = np.linspace(0.08, -0.14, layer.height, dtype=np.float32)
    shade = 1.0 + slope[None, :] + fall[:, None] + np.float32(rng.uniform(0.1, 0.4)) * (relief - 0.5)
    if shadow and not thing.pose.aloft and thing.concept not in _SHADOWLESS:
        _cast_shadow(image, thing.pose)
    body = to_image(from_image(layer)[:3] * light * shade)
    image.paste(body, box[:2], layer.getchannel("A"))
    return image


def _cast_shadow(image: Image.Image, pose: Pose) -> None:
    """Darken the ground beneath a thing."""
    size = image.width
    brush = Brush(size, pose)
    brush.ellipse(0.0, 0.0, 0.42, 0.05, (0, 0, 0))
    left, top, right, bottom = (value * size for value in (-0.5, -0.12, 0.5, 0.12))
    x, y, spread = pose.x * size, pose.y * size, max(pose.height, 0.2)
    box = (int(x + left * spread), int(y + top * spread), int(x + right * spread), int(y + bottom * spread))
    alpha = brush.layer.crop(box).getchannel("A").filter(ImageFilter.GaussianBlur(size * 0.012))
    image.paste((10, 10, 16), box[:2], alpha.point(lambda value: value * 0.45))
