from aach_lightning.scenes.brush import Pose
from aach_lightning.scenes.layout import Layout, Thing
from aach_lightning.scenes.visibility import all_visible

MEADOW = Layout(("sky",), 0.5, "grass", False, "", 0.0, ())
STUDIO = Layout((), 1.0, "", False, "", 0.0, ())


def test_a_thing_may_not_hide_a_part_of_the_scenery() -> None:
    # 2.3 x 0.95 wide and reaching from 0.05 to 1: covers the sky and the grass.
    assert not all_visible(MEADOW, [Thing("car", Pose(0.5, 1.0, 0.95))])
    assert all_visible(MEADOW, [Thing("car", Pose(0.5, 0.8, 0.3))])
    assert all_visible(STUDIO, [Thing("car", Pose(0.5, 1.0, 0.95))])


def test_a_nearer_thing_may_not_hide_one_behind_it() -> None:
    behind = Thing("person", Pose(0.5, 0.7, 0.4))
    before = Thing("house", Pose(0.5, 0.9, 0.6))
    aside = Thing("house", Pose(0.1, 0.9, 0.3))
    assert not all_visible(MEADOW, [behind, before])
    assert all_visible(MEADOW, [behind, aside])


def test_a_small_thing_before_a_large_one_hides_little() -> None:
    assert all_visible(MEADOW, [Thing("house", Pose(0.5, 0.7, 0.45)), Thing("cat", Pose(0.7, 0.9, 0.23))])
