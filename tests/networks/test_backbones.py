"""What holds for every backbone: hashing.Backbone, exact reload, determinism, gradients to the input."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from aach_lightning.networks import Backbone, EfficientNetLite, SmallCNN, TextMLP
from aach_lightning.zoo.cnn_f import CNNF
from aach_lightning.zoo.text_multiscale import TextMultiScale

SIZE = 48
WORDS = 70

IMAGE_BACKBONES: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "small_cnn": (lambda: SmallCNN(image_size=SIZE, width=64), 64),
    "efficientnet_lite": (lambda: EfficientNetLite(0, image_size=SIZE, pretrained=False), 1280),
    "cnn_f": (lambda: CNNF(image_size=SIZE), 4096),
}
TEXT_BACKBONES: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "text_mlp": (lambda: TextMLP(text_width=WORDS, width=33), 33),
    "text_multiscale": (lambda: TextMultiScale(text_width=WORDS, hidden=24, width=12), 12),
}
BACKBONES = IMAGE_BACKBONES | TEXT_BACKBONES


def inputs_for(name: str, count: int) -> Tensor:
    shape = (count, 3, SIZE, SIZE) if name in IMAGE_BACKBONES else (count, WORDS)
    return torch.rand(shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", BACKBONES)
def test_features_have_the_width_that_the_backbone_states(name: str) -> None:
    build, width = BACKBONES[name]
    backbone = build()
    assert isinstance(backbone, nn.Module)
    assert isinstance(backbone, Backbone)
    assert backbone.width == width
    features = backbone(inputs_for(name, 3))
    assert features.shape == (3, width)
    assert features.dtype == torch.float32


@pytest.mark.parametrize("name", BACKBONES)
def test_equal_seeds_give_equal_networks_and_other_seeds_do_not(name: str) -> None:
    build, _ = BACKBONES[name]
    features = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        with torch.no_grad():
            features.append(build().eval()(inputs_for(name, 2)))
    assert torch.equal(features[0], features[1])
    assert not torch.allclose(features[0], features[2])


@pytest.mark.parametrize("name", BACKBONES)
def test_state_dict_loads_strictly_into_a_fresh_copy(name: str) -> None:
    build, _ = BACKBONES[name]
    torch.manual_seed(0)
    first = build().eval()
    torch.manual_seed(1)
    second = build().eval()
    second.load_state_dict(first.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(first(inputs_for(name, 2)), second(inputs_for(name, 2)))


@pytest.mark.parametrize("name", BACKBONES)
def test_a_frozen_backbone_passes_the_gradient_of_the_inputs(name: str) -> None:
    build, _ = BACKBONES[name]
    torch.manual_seed(0)
    backbone = build().eval().requires_grad_(False).double()
    inputs = inputs_for(name, 1).double().requires_grad_()
    direction = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(8), dtype=torch.double)
    (gradient,) = torch.autograd.grad(backbone(inputs).sum(), inputs)
    step = 1e-7
    with torch.no_grad():
        difference = backbone(inputs + step * direction).sum() - backbone(inputs - step * direction).sum()
    torch.testing.assert_close((gradient * direction).sum(), difference / (2 * step), rtol=1e-3, atol=1e-6)
    assert all(parameter.grad is None for parameter in backbone.parameters())


@pytest.mark.parametrize("name", BACKBONES)
def test_features_of_an_item_do_not_depend_on_its_batch(name: str) -> None:
    build, _ = BACKBONES[name]
    torch.manual_seed(0)
    backbone = build().eval()
    inputs = inputs_for(name, 4)
    with torch.no_grad():
        together = backbone(inputs)
        alone = torch.cat([backbone(item[None]) for item in inputs])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4 * together.abs().max().item())


@pytest.mark.parametrize("name", BACKBONES)
def test_the_inputs_are_left_as_they_were(name: str) -> None:
    build, _ = BACKBONES[name]
    inputs = inputs_for(name, 2)
    kept = inputs.clone()
    with torch.no_grad():
        build()(inputs)
    assert torch.equal(inputs, kept)


@pytest.mark.parametrize("name", IMAGE_BACKBONES)
@pytest.mark.parametrize("shape", [(2, 3, SIZE, SIZE + 1), (2, 1, SIZE, SIZE), (3, SIZE, SIZE)])
def test_images_of_another_shape_are_refused(name: str, shape: tuple[int, ...]) -> None:
    build, _ = IMAGE_BACKBONES[name]
    with pytest.raises(ValueError, match=f"N x 3 x {SIZE} x {SIZE}, got"):
        build()(torch.zeros(shape))
