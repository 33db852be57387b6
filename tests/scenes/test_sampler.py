from collections import Counter

import numpy as np
import pytest

from aach_lightning.scenes.concepts import LABEL_NAMES
from aach_lightning.scenes.layout import Layout
from aach_lightning.scenes.sampler import choose, sample


@pytest.fixture(scope="module")
def layouts() -> list[Layout]:
    return [sample(np.random.default_rng((11, index))) for index in range(4000)]


def share(layouts: list[Layout], wanted: str, given: str, present: bool = True) -> float:
    chosen = [wanted in layout.concepts for layout in layouts if (given in layout.concepts) == present]
    return sum(chosen) / len(chosen)


def test_choose_follows_the_weights() -> None:
    rng = np.random.default_rng(0)
    counts = Counter(choose(rng, {"a": 1.0, "b": 0.0, "c": 3.0}) for _ in range(4000))
    assert counts["b"] == 0
    assert counts["c"] / 4000 == pytest.approx(0.75, abs=0.025)


def test_every_scene_has_one_to_four_known_concepts(layouts: list[Layout]) -> None:
    counts = Counter(len(layout.concepts) for layout in layouts)
    assert set(counts) == {1, 2, 3, 4}
    assert min(counts.values()) > 0.08 * len(layouts)
    assert set().union(*(layout.concepts for layout in layouts)) == set(LABEL_NAMES)


def test_every_concept_is_in_two_to_forty_percent_of_the_scenes(layouts: list[Layout]) -> None:
    frequency = {name: np.mean([name in layout.concepts for layout in layouts]) for name in LABEL_NAMES}
    assert {name: f for name, f in frequency.items() if not 0.025 < f < 0.42} == {}


@pytest.mark.parametrize(
    ("wanted", "given"),
    [("boat", "water"), ("fish", "water"), ("car", "road"), ("bicycle", "road"), ("bird", "sky"), ("tree", "grass")],
)
def test_what_belongs_together_occurs_together_but_not_always(layouts: list[Layout], wanted: str, given: str) -> None:
    together, apart = share(layouts, wanted, given), share(layouts, wanted, given, present=False)
    assert together > 1.3 * apart
    assert apart > 0.0
    assert together < 0.6


@pytest.mark.parametrize(
    ("one", "other"), [("night", "sunset"), ("night", "sky"), ("desert", "water"), ("snow", "grass")]
)
def test_what_excludes_each_other_never_meets(layouts: list[Layout], one: str, other: str) -> None:
    assert not any({one, other} <= layout.concepts for layout in layouts)


def test_things_stand_inside_the_picture(layouts: list[Layout]) -> None:
    for thing in (thing for layout in layouts for thing in layout.things):
        assert 0.0 <= thing.pose.x <= 1.0
        assert 0.1 <= thing.pose.y - thing.pose.height / 2 <= 0.95
        assert 0.2 <= thing.pose.height <= 1.0


def test_nearer_things_come_later(layouts: list[Layout]) -> None:
    several = [layout for layout in layouts if len(layout.things) > 1]
    assert len(several) > 100
    for layout in several:
        feet = [thing.pose.y for thing in layout.things]
        assert feet == sorted(feet)
