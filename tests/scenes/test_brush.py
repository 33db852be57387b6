import numpy as np
import pytest
from numpy.typing import NDArray

from aach_lightning.scenes.brush import Brush, Pose, bend, dim, smooth

BOX = [(-0.5, -1.0), (0.5, -1.0), (0.5, 0.0), (-0.5, 0.0)]


def covered(brush: Brush) -> NDArray[np.bool_]:
    return np.asarray(brush.layer)[..., 3] > 0


def extent(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(mask)
    return tuple(float(v) / len(mask) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))  # type: ignore[return-value]


def test_a_pose_places_the_foot_and_scales_the_height() -> None:
    brush = Brush(400, Pose(x=0.5, y=0.8, height=0.4))
    brush.polygon(BOX, (255, 0, 0))
    assert extent(covered(brush)) == pytest.approx((0.3, 0.4, 0.7, 0.8), abs=0.006)


def test_the_same_pose_covers_the_same_share_at_every_resolution() -> None:
    shares = []
    for size in (100, 400):
        brush = Brush(size, Pose(x=0.4, y=0.9, height=0.5, angle=0.3))
        brush.polygon(BOX, (255, 0, 0))
        shares.append(covered(brush).mean())
    assert shares == pytest.approx([0.25, 0.25], rel=0.05)


def test_stretch_widens_and_a_quarter_turn_lays_down() -> None:
    wide = Brush(400, Pose(x=0.5, y=0.7, height=0.4, stretch=1.5))
    wide.polygon(BOX, (9, 9, 9))
    assert extent(covered(wide)) == pytest.approx((0.2, 0.3, 0.8, 0.7), abs=0.006)
    lying = Brush(400, Pose(x=0.5, y=0.7, height=0.4, stretch=1.5, angle=np.pi / 2))
    lying.polygon(BOX, (9, 9, 9))
    assert extent(covered(lying)) == pytest.approx((0.3, 0.2, 0.7, 0.8), abs=0.006)


def test_flip_mirrors() -> None:
    corner = [(0.0, 0.0), (0.5, 0.0), (0.5, -1.0)]
    plain, flipped = Brush(200, Pose(0.5, 0.9, 0.6)), Brush(200, Pose(0.5, 0.9, 0.6, flip=True))
    plain.polygon(corner, (1, 1, 1))
    flipped.polygon(corner, (1, 1, 1))
    left, _, right, _ = extent(covered(plain))
    assert extent(covered(flipped))[::2] == pytest.approx((1 - right, 1 - left), abs=0.01)


def test_shrinking_keeps_the_foot() -> None:
    brush = Brush(400, Pose(x=0.5, y=0.8, height=0.4))
    brush.shrink(0.5)
    brush.polygon(BOX, (255, 0, 0))
    assert extent(covered(brush)) == pytest.approx((0.4, 0.6, 0.6, 0.8), abs=0.006)


def test_an_ellipse_has_the_area_of_an_ellipse() -> None:
    brush = Brush(400, Pose(x=0.5, y=1.0, height=1.0))
    brush.ellipse(0.1, -0.5, 0.3, 0.15, (255, 0, 0), turn=0.7)
    assert covered(brush).mean() == pytest.approx(np.pi * 0.3 * 0.15, rel=0.03)


def test_a_ring_is_hollow() -> None:
    brush = Brush(400, Pose(x=0.5, y=1.0, height=1.0))
    brush.ring(0.0, -0.5, 0.4, 0.05, (255, 0, 0))
    assert covered(brush).mean() == pytest.approx(np.pi * (0.425**2 - 0.375**2), rel=0.08)
    assert not covered(brush)[200, 200]


def test_the_smooth_curve_passes_through_its_corners() -> None:
    corners = [(0.0, 0.0), (1.0, 0.2), (1.2, 1.0), (0.1, 0.9)]
    assert smooth(corners)[::5] == pytest.approx(np.array(corners))


def test_bend_is_the_quadratic_bezier_curve() -> None:
    a, b, c = (np.array(p) for p in ((0.0, 0.0), (1.0, 2.0), (3.0, -1.0)))
    expected = [(1 - t) ** 2 * a + 2 * t * (1 - t) * b + t * t * c for t in np.arange(13) / 12]
    assert bend([(0.0, 0.0), (1.0, 2.0), (3.0, -1.0)]) == pytest.approx(np.array(expected))


def test_dim_stays_in_range() -> None:
    assert dim((200, 100, 3), 1.5) == (255, 150, 4)
    assert dim((200, 100, 3), 0.5) == (100, 50, 2)
