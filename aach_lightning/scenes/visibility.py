"""Whether everything that a layout names could be seen, judged by boxes on a coarse grid."""

import numpy as np
from numpy.typing import NDArray

from aach_lightning.scenes.brush import Pose
from aach_lightning.scenes.layout import Layout, Thing

ASPECTS: dict[str, float] = {
    "car": 2.3, "boat": 1.4, "bicycle": 1.65, "balloon": 0.8, "bird": 1.8, "fish": 1.9, "cat": 1.2, "dog": 1.4,
    "person": 0.65, "house": 1.6, "tree": 0.75, "flower": 0.85,
}  # fmt: skip
"""Width of each thing relative to its height."""

_GRID = 24
_LEAST_VISIBLE = 0.06
"""Share of the picture that must be left of every part of the scenery."""
_MOST_HIDDEN = 0.3
"""Share of a thing that nearer things may hide."""
_CENTRES = (np.arange(_GRID) + 0.5) / _GRID


def _shadow(pose: Pose, concept: str) -> NDArray[np.bool_]:
    """Cells of a coarse grid that the thing's box covers."""
    half = 0.5 * ASPECTS[concept] * pose.height * pose.stretch
    across = np.abs(_CENTRES - pose.x) < half
    down = (pose.y > _CENTRES) & (pose.y - pose.height < _CENTRES)
    return down[:, None] & across[None, :]


def _regions(scenery: Layout) -> list[NDArray[np.bool_]]:
    """Cells that each part of the scenery fills when nothing stands before it."""
    everywhere = np.ones((_GRID, _GRID), dtype=bool)
    rows = _CENTRES[:, None] * everywhere
    regions = []
    if scenery.air:
        regions.append(rows < scenery.horizon - 0.65 * scenery.band_height)
    if scenery.band:
        regions.append((rows < scenery.horizon) & (rows > scenery.horizon - 0.6 * scenery.band_height))
    if scenery.road:
        regions.append((rows > scenery.horizon) & (np.abs(_CENTRES - 0.5)[None, :] < 0.3))
    if scenery.ground not in ("", "earth"):
        outside = np.abs(_CENTRES - 0.5)[None, :] > 0.35
        regions.append((rows > scenery.horizon) & (outside | (not scenery.road)))
    return regions


def all_visible(scenery: Layout, things: list[Thing]) -> bool:
    """Whether every part of the scenery and every thing would still be seen."""
    shadows = [_shadow(thing.pose, thing.concept) for thing in things]
    covered = np.zeros((_GRID, _GRID), dtype=bool)
    for shadow in reversed(shadows):
        if (shadow & covered).sum() > _MOST_HIDDEN * max(int(shadow.sum()), 1):
            return False
        covered |= shadow
    return all((region & ~covered).mean() >= _LEAST_VISIBLE for region in _regions(scenery))
