import pytest
import torch
from torch.nn import functional as F

from aach_lightning.zoo.image_conv import convolve_image

CNN_F = [(224, 11, 4, 0), (39, 11, 4, 0), (41, 11, 4, 0), (11, 11, 4, 0)]
RESNET = [(32, 7, 2, 3), (33, 7, 2, 3)]
OTHERS = [(20, 3, 2, 1), (9, 4, 4, 0), (10, 1, 3, 2), (12, 5, 1, 2)]


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), [*CNN_F, *RESNET, *OTHERS])
def test_it_is_a_strided_convolution_with_its_gradients(size: int, kernel: int, stride: int, padding: int) -> None:
    generator = torch.Generator().manual_seed(size)
    images, weight, bias = (
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in ((2, 3, size, size), (6, 3, kernel, kernel), (6,))
    )
    expected = F.conv2d(images, weight, bias, stride, padding)
    found = convolve_image(images, weight, bias, stride, padding)
    torch.testing.assert_close(found, expected)
    direction = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    leaves = (images, weight, bias)
    torch.testing.assert_close(
        torch.autograd.grad(found, leaves, direction), torch.autograd.grad(expected, leaves, direction)
    )


def test_its_maps_are_channels_last_and_its_gradient_lies_as_the_images() -> None:
    images = torch.rand(2, 3, 32, 32).requires_grad_()
    maps = convolve_image(images, torch.rand(16, 3, 11, 11), None, stride=4)
    assert maps.is_contiguous(memory_format=torch.channels_last)
    assert not maps.is_contiguous()
    assert torch.autograd.grad(maps.sum(), images)[0].is_contiguous()
