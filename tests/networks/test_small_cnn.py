import pytest
import torch
from torch import nn
from torch.nn import functional as F

from aach_lightning.networks import SmallCNN


def test_forward_equals_the_layers_written_out() -> None:
    torch.manual_seed(0)
    network = SmallCNN(image_size=32, width=32)
    weights = network.state_dict()
    images = torch.rand(2, 3, 32, 32)
    maps = images * 4 - 2
    for layer in range(4):
        maps = F.conv2d(maps, weights[f"layers.{3 * layer}.weight"], stride=2, padding=1)
        groups = maps.reshape(2, 4, -1)  # four groups of neighbouring channels
        mean, variance = groups.mean(-1, keepdim=True), groups.var(-1, unbiased=False, keepdim=True)
        maps = ((groups - mean) / (variance + 1e-5).sqrt()).reshape(maps.shape).clamp(min=0)
    torch.testing.assert_close(network(images), maps.flatten(2).mean(2), rtol=1e-4, atol=1e-5)


def test_train_and_eval_agree() -> None:
    network = SmallCNN(image_size=32, width=32)
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(network.train()(images), network.eval()(images))
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


@pytest.mark.parametrize("width", [0, -32, 16, 100])
def test_width_must_be_a_multiple_of_32(width: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of 32, got {width}"):
        SmallCNN(image_size=32, width=width)


def test_too_small_images_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 16, got 15"):
        SmallCNN(image_size=15)
