"""Which concepts occur together, and where: plausible, never certain."""

import numpy as np

from aach_lightning.scenes.brush import Pose
from aach_lightning.scenes.layout import Layout, Thing
from aach_lightning.scenes.visibility import ASPECTS, all_visible

MOST_LABELS = 4

Weights = dict[str, float]

_VIEWS: Weights = {"landscape": 0.66, "close": 0.17, "surface": 0.11, "aloft": 0.06}

_AIRS: Weights = {"sky": 0.3, "sky clouds": 0.22, "clouds": 0.13, "sunset": 0.18, "night": 0.19}
_FLIGHT: Weights = {"sky": 0.24, "sky clouds": 0.2, "clouds": 0.1, "sunset": 0.12, "night": 0.03}
"""Share of the things that fly, by what the air is like."""
_BANDS: Weights = {"": 0.42, "mountain": 0.2, "forest": 0.18, "city": 0.2}
_SURFACES: Weights = {
    "water": 0.28, "grass": 0.2, "desert": 0.1, "snow": 0.1, "earth": 0.1, "forest": 0.14, "city": 0.08,
}  # fmt: skip
_GROUNDS: dict[str, Weights] = {
    "": {"water": 0.26, "grass": 0.22, "desert": 0.26, "snow": 0.1, "earth": 0.16},
    "mountain": {"water": 0.24, "grass": 0.2, "desert": 0.16, "snow": 0.28, "earth": 0.12},
    "forest": {"water": 0.24, "grass": 0.36, "desert": 0.02, "snow": 0.26, "earth": 0.12},
    "city": {"water": 0.32, "grass": 0.14, "desert": 0.04, "snow": 0.12, "earth": 0.38},
}
_ROAD: Weights = {"water": 0.0, "grass": 0.26, "desert": 0.26, "snow": 0.2, "earth": 0.68}

_THINGS: dict[str, Weights] = {
    "air": {"bird": 1.0, "balloon": 0.9},
    "water": {"boat": 4.0, "bird": 0.9, "fish": 2.4, "person": 0.6, "balloon": 0.4, "dog": 0.2, "house": 0.3},
    "grass": {
        "tree": 2.4, "flower": 1.5, "dog": 1.4, "cat": 1.1, "house": 1.6, "person": 1.2, "bird": 0.8, "bicycle": 0.9,
        "balloon": 0.6, "car": 0.4,
    },
    "desert": {"person": 1.2, "car": 1.0, "balloon": 0.9, "tree": 0.8, "bird": 0.8, "dog": 0.4, "house": 0.5},
    "snow": {"tree": 1.8, "house": 1.5, "person": 1.4, "dog": 1.1, "bird": 0.6, "car": 0.5, "cat": 0.3},
    "earth": {"house": 1.8, "person": 1.3, "car": 1.2, "dog": 0.8, "bicycle": 1.0, "tree": 1.4, "cat": 0.7},
    "road": {"car": 4.0, "bicycle": 2.4, "person": 1.2, "tree": 1.0, "house": 0.6, "dog": 0.5},
    "inside": {
        "cat": 2.2, "dog": 1.8, "flower": 2.2, "person": 1.5, "fish": 1.5, "balloon": 0.7, "bicycle": 0.8, "bird": 0.9,
        "car": 0.5, "boat": 0.3, "house": 0.3,
    },
}  # fmt: skip
_ANYWHERE = 0.05
"""Weight of a thing in a place where nobody expects it."""

_SMALLEST = 0.23
"""Height of the smallest thing: enough to be recognised."""

_NATURAL: Weights = {"house": 0.62, "tree": 0.85, "boat": 0.6, "balloon": 0.7, "car": 0.38, "person": 0.62}
"""Height of a thing in the foreground, 0.48 for those not named."""


def sample(rng: np.random.Generator) -> Layout:
    """Draw a scene with one to four concepts."""
    view = choose(rng, _VIEWS)
    if view == "landscape":
        scenery = _landscape(rng)
    elif view == "surface":
        scenery = _surface(rng)
    elif view == "aloft":
        scenery = Layout(tuple(choose(rng, _AIRS).split()), 1.0, "", False, "", 0.0, ())
    else:
        scenery = Layout((), 1.0, "", False, "", 0.0, ())
    return _populate(rng, scenery, view)


def choose(rng: np.random.Generator, weights: Weights) -> str:
    """One key, with a probability in proportion to its weight."""
    names = list(weights)
    totals = np.cumsum([weights[name] for name in names])
    return names[int(np.searchsorted(totals, rng.random() * totals[-1], side="right"))]


def _landscape(rng: np.random.Generator) -> Layout:
    air = tuple(choose(rng, _AIRS).split())
    band = choose(rng, _BANDS)
    ground = choose(rng, _GROUNDS[band])
    crowded = len(air) + bool(band) + (ground != "earth") >= MOST_LABELS
    road = not crowded and rng.random() < _ROAD[ground]
    horizon = float(rng.uniform(0.36, 0.7))
    tallest = 0.75 * horizon
    height = float(rng.uniform(0.45 * tallest, tallest)) if band else 0.0
    return Layout(air, horizon, ground, road, band, height, ())


def _surface(rng: np.random.Generator) -> Layout:
    kind = choose(rng, _SURFACES)
    if kind in ("forest", "city"):
        ground = choose(rng, _GROUNDS[kind])
        road = rng.random() < 0.5 * _ROAD[ground]
        return Layout((), float(rng.uniform(0.6, 0.85)), ground, road, kind, 1.2, ())
    road = rng.random() < _ROAD[kind]
    return Layout((), float(rng.uniform(-0.3, 0.0)), kind, road, "", 0.0, ())


def _count(rng: np.random.Generator, view: str, scenery: Layout) -> int:
    """How many things to try, within what the labels allow."""
    room = MOST_LABELS - len(scenery.concepts)
    if view == "close":
        wanted = int(rng.choice((1, 2, 3), p=(0.62, 0.3, 0.08)))
    elif view == "landscape":
        wanted = int(rng.choice((0, 1, 2), p=(0.2, 0.5, 0.3)))
    else:
        wanted = int(rng.choice((0, 1, 2), p=(0.12, 0.63, 0.25)))
    return min(room, max(wanted, 1 - len(scenery.concepts)))


def _populate(rng: np.random.Generator, scenery: Layout, view: str) -> Layout:
    wanted = _count(rng, view, scenery)
    must = not scenery.concepts
    things: list[Thing] = []
    for attempt in range(6 * wanted):
        if len(things) == wanted:
            break
        thing = _place(rng, scenery, view, wanted)
        ordered = sorted([*things, thing], key=lambda item: item.pose.y)
        if any(thing.concept == other.concept for other in things) and attempt % 3:
            continue
        if all_visible(scenery, ordered):
            things = ordered
    if must and not things:
        things = [Thing(choose(rng, _weights("inside")), Pose(0.5, 0.85, 0.6))]
    return Layout(
        scenery.air, scenery.horizon, scenery.ground, scenery.road, scenery.band, scenery.band_height, tuple(things)
    )


def _weights(place: str) -> Weights:
    unexpected = 0.0 if place == "air" else _ANYWHERE
    return {name: _THINGS[place].get(name, 0.0) + unexpected for name in ASPECTS}


def _place(rng: np.random.Generator, scenery: Layout, view: str, wanted: int) -> Thing:
    """One thing with a pose that suits the scenery; whether it leaves enough visible is checked later."""
    if view == "close":
        place = "inside"
    elif view == "aloft" or (rng.random() < _FLIGHT.get(" ".join(scenery.air), 0.0)):
        place = "air"
    else:
        place = "road" if scenery.road and rng.random() < 0.7 else scenery.ground
    concept = choose(rng, _weights(place))
    angle = float(rng.normal(0.0, 0.07))
    if concept in ("bird", "fish", "balloon"):
        angle *= 2.5
    aspect, aloft = ASPECTS[concept], place == "air"
    widest = 0.95 / aspect
    if place == "inside":
        height = min(float(rng.uniform(0.55, 0.95)), widest) / (1.0 if wanted == 1 else 1.35)
        y = float(rng.uniform(0.5 + height / 2, 1.02)) if height < 0.9 else 0.98
    elif place == "air":
        height = min(float(rng.uniform(_SMALLEST, 0.5)), widest)
        y = float(rng.uniform(height + 0.02, max(scenery.horizon * 0.95, height + 0.1)))
    else:
        top = max(scenery.horizon, 0.0)
        depth = float(rng.uniform(0.12, 0.97)) if top > 0.0 else float(rng.uniform(0.35, 0.97))
        y = top + (1.0 - top) * depth
        height = _NATURAL.get(concept, 0.48) * (0.5 + 0.65 * depth) * float(rng.uniform(0.75, 1.25))
        height = max(_SMALLEST, min(height, widest, y + 0.06, 1.0))
        if concept in ("bird", "balloon") and rng.random() < 0.6:
            y = float(rng.uniform(height, max(y, height + 0.05)))
            aloft = True
    reach = 0.5 * aspect * height
    x = float(rng.uniform(min(0.5, 0.75 * reach), max(0.5, 1.0 - 0.75 * reach)))
    flip, stretch = bool(rng.random() < 0.5), float(rng.uniform(0.88, 1.14))
    return Thing(concept, Pose(x, y, height, angle, flip, stretch, aloft))
