"""What a scene consists of, before anything is drawn."""

from dataclasses import dataclass

from aach_lightning.scenes.brush import Pose


@dataclass(frozen=True)
class Thing:
    """One drawn object: its concept and its pose."""

    concept: str
    pose: Pose


@dataclass(frozen=True)
class Layout:
    """One scene in units of the picture's side, so the same at every resolution.

    Attributes:
        air: Concepts of the upper part, of "sky", "clouds", "sunset", "night"; empty for a backdrop without a label.
        horizon: Height of the horizon, 0 at the top; 0 or less: the ground fills the picture; 1: there is none.
        ground: "water", "grass", "desert", "snow", "earth" (which has no label), or "" for none.
        road: Whether a road crosses the ground.
        band: "mountain", "forest", "city", or "" for an open horizon.
        band_height: Height of the band above the horizon.
        things: Objects, the farthest first.
    """

    air: tuple[str, ...]
    horizon: float
    ground: str
    road: bool
    band: str
    band_height: float
    things: tuple[Thing, ...]

    @property
    def concepts(self) -> frozenset[str]:
        """Names of all labelled concepts in the scene."""
        stuff = {*self.air, self.ground, self.band, "road" if self.road else ""} - {"", "earth"}
        return frozenset(stuff | {thing.concept for thing in self.things})
