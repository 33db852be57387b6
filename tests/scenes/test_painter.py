"""A label must be visible: a part left out of the painting must change the picture."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from aach_lightning.scenes import Scenes, painter
from aach_lightning.scenes.brush import Brush

SIZE = 48


def changed(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """Share of pixels that differ by more than 6 of 255 in some channel."""
    return float((np.abs(before.astype(int) - after.astype(int)).max(axis=2) > 6).mean())


def streams(index: int) -> list[np.random.Generator]:
    return [np.random.default_rng((4, index, stream)) for stream in range(12)]


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return Scenes(SIZE, seed=4)


def draw_nothing(brush: Brush, rng: np.random.Generator) -> None:
    del brush, rng


def test_every_thing_is_visible(scenes: Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[float]] = {}
    for index in range(300):
        layout = scenes.layout(index)
        full = painter.paint(layout, SIZE, iter(streams(index)))
        for concept in {thing.concept for thing in layout.things}:
            with monkeypatch.context() as patch:
                patch.setitem(painter.THINGS, concept, draw_nothing)
                without = painter.paint(layout, SIZE, iter(streams(index)))
            seen.setdefault(concept, []).append(changed(full, without))
    assert set(seen) == set(painter.THINGS)
    shares = np.concatenate([np.array(values) for values in seen.values()])
    assert shares.min() > 0.002
    assert np.quantile(shares, 0.05) > 0.008
    assert np.median(shares) > 0.04


def test_every_part_of_the_scenery_is_visible(scenes: Scenes) -> None:
    shares = []
    for index in range(200):
        layout = scenes.layout(index)
        full = painter.paint(layout, SIZE, iter(streams(index)))
        variants = [
            replace(layout, band="") if layout.band else None,
            replace(layout, road=False) if layout.road else None,
            replace(layout, ground="earth") if layout.ground not in ("", "earth") else None,
            replace(layout, air=()) if layout.air else None,
        ]
        bare = [painter.paint(variant, SIZE, iter(streams(index))) for variant in variants if variant]
        shares.extend(changed(full, picture) for picture in bare)
    assert len(shares) > 200
    assert min(shares) > 0.03


def test_night_is_darker_than_day(scenes: Scenes) -> None:
    dark, light = [], []
    for index in range(120):
        air = scenes.layout(index).air
        if air:
            (dark if "night" in air else light).append(float(scenes.draw(index).mean()))
    assert len(dark) > 5
    assert np.mean(dark) < 0.55 * np.mean(light)
