import numpy as np
import pytest

from aach_lightning.scenes.textures import (
    blend,
    columns_of,
    fractal,
    from_image,
    gradient,
    jitter,
    noise,
    over,
    ramp,
    rows_of,
    to_bytes,
    to_image,
    unit,
)


def test_noise_shows_the_same_pattern_at_every_resolution() -> None:
    small = fractal(np.random.default_rng(3), 48, 3, 3, 3)
    large = fractal(np.random.default_rng(3), 192, 3, 3, 3)
    reduced = large.reshape(48, 4, 48, 4).mean(axis=(1, 3))
    assert np.corrcoef(small.ravel(), reduced.ravel())[0, 1] > 0.98


def test_noise_stays_in_range_and_uses_it() -> None:
    plane = noise(np.random.default_rng(0), 64, 8, 8)
    assert plane.dtype == np.float32
    assert plane.min() >= 0.0
    assert plane.max() <= 1.0
    stretched = fractal(np.random.default_rng(0), 64, 4, 4)
    assert (float(stretched.min()), float(stretched.max())) == (0.0, 1.0)


def test_pixel_centres() -> None:
    assert columns_of(4).tolist() == [[0.125, 0.375, 0.625, 0.875]]
    assert rows_of(2).tolist() == [[0.25], [0.75]]


def test_blend_and_over_mix_linearly() -> None:
    share = np.array([[0.0, 0.5, 1.0]], dtype=np.float32)
    assert (
        pytest.approx(np.array([(0, 100, 255), (100, 100, 155), (200, 100, 55)]))
        == blend((0, 100, 255), (200, 100, 55), share)[:, 0].T * 255
    )
    assert over(unit((0, 0, 0)), unit((255, 51, 0)), share)[:, 0, 1] == pytest.approx([0.5, 0.1, 0.0])


def test_a_gradient_runs_from_the_first_to_the_last_colour() -> None:
    picture = gradient(100, ((0, 0, 0), (255, 0, 0), (255, 255, 255)))
    assert picture.shape == (3, 100, 100)
    assert np.ptp(picture, axis=2).max() == 0
    assert picture[:, 0, 0] == pytest.approx([0.01, 0, 0], abs=1e-3)
    assert picture[:, 50, 0] == pytest.approx([1.0, 0.01, 0.01], abs=1e-3)
    assert picture[:, 99, 0] == pytest.approx([1.0, 0.99, 0.99], abs=1e-3)


def test_ramp_is_a_smooth_step() -> None:
    assert ramp(np.array([0.0, 0.2, 0.3, 0.4, 0.9], dtype=np.float32), 0.2, 0.4) == pytest.approx([0, 0, 0.5, 1, 1])


def test_bytes_are_rounded_and_clipped() -> None:
    assert to_bytes(np.array([-0.2, 0.0, 0.5, 0.998, 1.7], dtype=np.float32)).tolist() == [0, 0, 128, 254, 255]


def test_images_and_planes_convert_without_loss() -> None:
    values = np.random.default_rng(1).integers(0, 256, (3, 5, 7)).astype(np.uint8)
    image = to_image(values.astype(np.float32) / 255)
    assert image.size == (7, 5)
    assert image.getpixel((6, 2)) == tuple(values[:, 2, 6].tolist())
    assert np.array_equal(to_bytes(from_image(image)), values)


def test_jitter_moves_each_channel_by_no_more_than_asked() -> None:
    rng = np.random.default_rng(0)
    colours = np.array([jitter(rng, (5, 128, 250), 10) for _ in range(300)])
    assert colours.min(axis=0).tolist() == [0, 118, 240]
    assert colours.max(axis=0).tolist() == [15, 138, 255]
