import pytest
import torch
from torch import Tensor

from aach_lightning.surrogates.augmentation import Augmentation


def augmented(images: Tensor, seed: int = 0, flip: bool = False, zoom: float = 0.0, noise: float = 0.0) -> Tensor:
    return Augmentation(flip, zoom, noise)(images, torch.Generator().manual_seed(seed), len(images))


@pytest.fixture
def images() -> Tensor:
    return torch.rand(16, 3, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("flip", "zoom", "noise"), [(True, 0.3, 8.0), (True, 0.9, 0.0), (False, 0.0, 300.0)])
def test_results_are_images(images: Tensor, flip: bool, zoom: float, noise: float) -> None:
    changed = augmented(images, 0, flip, zoom, noise)
    assert changed.shape == images.shape
    assert changed.dtype == torch.float32
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1 + 1e-5
    assert not torch.equal(changed, images)


def test_switched_off_it_changes_nothing(images: Tensor) -> None:
    assert not Augmentation(False, 0.0, 0.0).active
    assert torch.equal(augmented(images), images)
    assert all(Augmentation(*settings).active for settings in [(True, 0.0, 0.0), (False, 0.1, 0.0), (False, 0.0, 1.0)])


def test_the_generator_decides(images: Tensor) -> None:
    torch.manual_seed(1)
    first = augmented(images, 5, True, 0.3, 8.0)
    torch.manual_seed(2)
    assert torch.equal(augmented(images, 5, True, 0.3, 8.0), first)
    assert not torch.equal(augmented(images, 6, True, 0.3, 8.0), first)


def test_images_are_left_alone(images: Tensor) -> None:
    before = images.clone()
    augmented(images, 0, True, 0.3, 8.0)
    assert torch.equal(images, before)


def test_a_flip_is_an_exact_mirror_of_half_of_the_images() -> None:
    images = torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    mirrored = 0
    for before, after in zip(images, augmented(images, flip=True), strict=True):
        is_mirror = torch.allclose(after, before.flip(2), atol=1e-5)
        assert is_mirror or torch.allclose(after, before, atol=1e-5)
        mirrored += is_mirror
    assert 60 < mirrored < 140  # six standard deviations around 100


def test_noise_is_one_amplitude_an_image_up_to_its_bound() -> None:
    images = torch.full((50, 3, 6, 6), 0.5)
    change = augmented(images, noise=8.0) - images
    sizes = change.abs()
    amplitudes = sizes.amax(dim=(1, 2, 3))
    torch.testing.assert_close(sizes, amplitudes[:, None, None, None].expand_as(sizes), atol=1e-6, rtol=0)
    assert float(amplitudes.max()) <= 8 / 255 + 1e-6
    assert float(amplitudes.max()) > 7 / 255
    assert float(amplitudes.min()) < 1 / 255
    assert abs(float(change.sign().mean())) < 0.1


def test_zoom_shows_a_part_of_the_picture_in_full_size() -> None:
    side = 32
    ramp = (torch.arange(side) + 0.5) / side
    images = torch.stack([ramp[None, :].expand(side, side), ramp[:, None].expand(side, side), torch.zeros(side, side)])
    zoomed = augmented(images.repeat(100, 1, 1, 1), zoom=0.5)
    # channel 0 holds the horizontal place that each pixel shows, channel 1 the vertical one; the rim is mirrored
    for channel, axis in ((0, 2), (1, 1)):
        places = zoomed[:, channel].mean(dim=3 - axis)
        steps = places[:, 2:-1] - places[:, 1:-2]
        scale = steps.mean(dim=1) * side
        torch.testing.assert_close(steps * side, scale[:, None].expand_as(steps), atol=1e-3, rtol=0)
        assert 0.5 - 1e-3 <= float(scale.min()) < 0.53
        assert 0.97 < float(scale.max()) <= 1 + 1e-3
