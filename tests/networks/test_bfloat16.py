import pytest
import torch
from torch import Tensor, nn

from aach_lightning.networks import Encoder, HashHead, HashingNetwork, SmallCNN, TextMLP
from aach_lightning.networks.bfloat16 import BFloat16Network
from aach_lightning.zoo.cnn_f import CNNF

BITS = 16


def build(backbone: nn.Module, width: int) -> HashingNetwork:
    image = Encoder(backbone, HashHead(width, BITS))
    return HashingNetwork(image, Encoder(TextMLP(12, width=24), HashHead(24, BITS)), BITS).eval()


@pytest.fixture(params=["small_cnn", "cnn_f"])
def network(request: pytest.FixtureRequest) -> HashingNetwork:
    torch.manual_seed(0)
    if request.param == "cnn_f":
        return build(CNNF(image_size=39), 4096)
    return build(SmallCNN(image_size=39, width=32), 32)


def image_gradient(network: HashingNetwork, images: Tensor) -> Tensor:
    leaf = images.clone().requires_grad_()
    codes = network.hash_images(leaf)
    assert codes.dtype == torch.float32
    direction = torch.linspace(-1, 1, codes.numel()).view_as(codes)
    (gradient,) = torch.autograd.grad(codes, leaf, direction)
    assert gradient.dtype == torch.float32
    return gradient


def test_codes_and_gradients_are_those_of_the_network_up_to_rounding(network: HashingNetwork) -> None:
    generator = torch.Generator().manual_seed(0)
    images, texts = torch.rand(4, 3, 39, 39, generator=generator), torch.rand(4, 12, generator=generator)
    rounded = BFloat16Network(network)
    with torch.no_grad():
        pairs = list(zip(network(images, texts), rounded(images, texts), strict=True))
    for exact, found in pairs:
        torch.testing.assert_close(found, exact, rtol=0, atol=0.05)
        assert not torch.equal(found, exact)
    exact, found = image_gradient(network, images), image_gradient(rounded, images)
    assert float(torch.cosine_similarity(exact.flatten(), found.flatten(), dim=0)) > 0.95


def test_weights_are_converted_once_in_a_copy(network: HashingNetwork) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    rounded = BFloat16Network(network)
    layers = [module for module in rounded.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert layers
    assert all(layer.weight.dtype == torch.bfloat16 for layer in layers)
    assert not any(parameter.requires_grad for parameter in rounded.parameters())
    rounded.hash_images(torch.rand(1, 3, 39, 39))
    assert network.image.training is rounded.image.training is False
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())
