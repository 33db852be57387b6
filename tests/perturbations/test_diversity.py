import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.networks.placement import resize_and_pad
from aach_lightning.perturbations.diversity import InputDiversity


def draw_images(count: int, height: int, width: int) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_draws_of_an_item_do_not_depend_on_its_batch_or_the_global_state() -> None:
    diversity = InputDiversity(0.7, 0.6, seed=1)
    torch.manual_seed(1)
    together = diversity.draw(torch.tensor([4, 9, 2]), steps=6)
    torch.manual_seed(2)
    assert torch.equal(diversity.draw(torch.tensor([2]), steps=6), together[:, 2:])
    assert torch.equal(diversity.draw(torch.tensor([9, 4]), steps=6), together[:, [1, 0]])
    assert together.shape == (6, 3, 3)
    assert together.dtype == torch.float32


def test_other_items_steps_and_seeds_draw_otherwise() -> None:
    draws = InputDiversity(1.0, 0.6, seed=1).draw(torch.tensor([4, 9]), steps=2)
    other = InputDiversity(1.0, 0.6, seed=2).draw(torch.tensor([4, 9]), steps=2)
    placements = {tuple(placement) for part in (draws, other) for placement in part.reshape(-1, 3).tolist()}
    assert len(placements) == 8


def test_placements_keep_the_image_inside_and_use_the_room() -> None:
    draws = InputDiversity(1.0, 0.5, seed=0).draw(torch.arange(50), steps=20).reshape(-1, 3)
    scale, shift = draws[:, :1], draws[:, 1:]
    assert float(scale.min()) >= 0.5
    assert float(scale.max()) <= 1
    assert bool((shift.abs() + scale <= 1 + 1e-6).all())
    assert float(scale.min()) < 0.51
    assert float(scale.max()) > 0.99
    assert float(shift.min()) < -0.4
    assert float(shift.max()) > 0.4
    assert abs(float(shift.mean())) < 0.03


def test_probability_decides_how_often_an_item_is_transformed() -> None:
    ids, identity = torch.arange(40), torch.tensor([1.0, 0.0, 0.0])
    for probability in (0.0, 0.3, 1.0):
        draws = InputDiversity(probability, 0.5, seed=0).draw(ids, steps=50)
        unchanged = (draws == identity).all(dim=2).float().mean()
        assert float(unchanged) == pytest.approx(1 - probability, abs=0.04)
    images = draw_images(40, 6, 6)
    assert torch.equal(resize_and_pad(images, InputDiversity(0.0, 0.5, 0).draw(ids, 1)[0]), images)


def test_full_size_is_the_identity() -> None:
    images = draw_images(3, 9, 6)
    assert torch.equal(resize_and_pad(images, torch.tensor([1.0, 0.0, 0.0]).expand(3, 3)), images)


@pytest.mark.parametrize(("height", "width"), [(12, 12), (7, 13), (32, 16)])
def test_it_equals_grid_sample(height: int, width: int) -> None:
    images = draw_images(20, height, width)
    placement = InputDiversity(1.0, 0.3, seed=0).draw(torch.arange(20), steps=1)[0]
    scale, shift = placement[:, 0], placement[:, 1:]
    matrix = torch.zeros(20, 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1 / scale
    matrix[:, :, 2] = -shift / scale[:, None]
    expected = F.grid_sample(
        images, F.affine_grid(matrix, list(images.shape), align_corners=False), align_corners=False
    )
    torch.testing.assert_close(resize_and_pad(images, placement), expected, atol=2e-5, rtol=0)


def test_half_size_in_a_corner_equals_interpolation_and_zeros() -> None:
    images = draw_images(1, 8, 8)
    left_top = resize_and_pad(images, torch.tensor([[0.5, -0.5, -0.5]]))
    right_bottom = resize_and_pad(images, torch.tensor([[0.5, 0.5, 0.5]]))
    right_top = resize_and_pad(images, torch.tensor([[0.5, 0.5, -0.5]]))
    shrunk = F.interpolate(images, size=(4, 4), mode="bilinear", align_corners=False)
    expected = torch.zeros(3, 1, 3, 8, 8)
    expected[0, ..., :4, :4] = expected[1, ..., 4:, 4:] = expected[2, ..., :4, 4:] = shrunk
    torch.testing.assert_close(torch.stack([left_top, right_bottom, right_top]), expected, atol=1e-6, rtol=0)


def test_content_stays_inside_its_place() -> None:
    side = 40
    placement = InputDiversity(1.0, 0.3, seed=3).draw(torch.arange(30), steps=1)[0]
    seen = resize_and_pad(torch.ones(30, 3, side, side), placement)
    assert float(seen.min()) >= 0
    assert float(seen.max()) <= 1 + 1e-5
    for canvas, (scale, horizontal, vertical) in zip(seen, placement.tolist(), strict=True):
        rows, columns = canvas[0].sum(dim=1).nonzero(), canvas[0].sum(dim=0).nonzero()
        for occupied, centre in ((rows, vertical), (columns, horizontal)):
            first, last = (centre - scale + 1) / 2 * side, (centre + scale + 1) / 2 * side
            assert int(occupied.min()) >= first - 1.01
            assert int(occupied.max()) + 1 <= last + 1.01
            assert len(occupied) >= scale * side - 2


def test_its_gradient_is_that_of_a_linear_map() -> None:
    images = draw_images(2, 6, 6).double().requires_grad_()
    placement = torch.tensor([[0.6, 0.2, -0.3], [0.9, 0.0, 0.1]], dtype=torch.float64)
    weights = torch.randn(2, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((resize_and_pad(images, placement) * weights).sum(), images)
    probe = torch.randn_like(images)
    assert float((gradient * probe).sum()) == pytest.approx(float((resize_and_pad(probe, placement) * weights).sum()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: only there gradients may be undeterministic")
def test_its_gradient_is_allowed_in_deterministic_mode_on_a_gpu() -> None:
    images = draw_images(2, 6, 6).cuda().requires_grad_()
    torch.use_deterministic_algorithms(True)
    seen = resize_and_pad(images, torch.tensor([[0.6, 0.2, -0.3]], device="cuda").expand(2, 3))
    (gradient,) = torch.autograd.grad(seen.sum(), images)
    assert bool(gradient.any())
