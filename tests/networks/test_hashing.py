import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from aach_lightning.networks import Encoder, HashHead, HashingNetwork, SmallCNN, TextMLP, binary_codes
from aach_lightning.networks.hashing import relaxed_distance


def build(frozen: bool = False) -> HashingNetwork:
    image = Encoder(SmallCNN(image_size=16, width=32), HashHead(32, 8, hidden=12, dropout=0.5), frozen=frozen)
    return HashingNetwork(image, Encoder(TextMLP(6, width=10), HashHead(10, 8)), code_length=8)


@pytest.mark.parametrize("hidden", [0, 5])
def test_head_equals_its_formula(hidden: int) -> None:
    torch.manual_seed(0)
    head = HashHead(6, 4, hidden=hidden, dropout=0.3).eval()
    features = torch.randn(3, 6) * 7 + 2
    linear = [module for module in head if isinstance(module, nn.Linear)]
    mean, variance = features.mean(1, keepdim=True), features.var(1, unbiased=False, keepdim=True)
    expected = (features - mean) / (variance + 1e-5).sqrt()
    if hidden:
        expected = F.linear(expected, linear[0].weight, linear[0].bias).clamp(min=0)
    expected = torch.tanh(F.linear(expected, linear[-1].weight, linear[-1].bias))
    torch.testing.assert_close(head(features), expected)


def test_head_drops_features_only_while_training() -> None:
    torch.manual_seed(0)
    head = HashHead(64, 4, dropout=0.5)
    features = torch.randn(2, 64)
    assert not torch.equal(head(features), head(features))
    head.eval()
    assert torch.equal(head(features), head(features))


def test_network_hashes_both_modalities_into_the_open_cube() -> None:
    torch.manual_seed(0)
    network = build().eval()
    images, texts = torch.rand(3, 3, 16, 16), torch.rand(3, 6)
    with torch.no_grad():
        image_codes, text_codes = network(images, texts)
    assert image_codes.shape == text_codes.shape == (3, 8)
    assert torch.equal(image_codes, network.image.head(network.image.backbone(images)))
    assert torch.equal(text_codes, network.hash_texts(texts))
    assert float(torch.stack([image_codes, text_codes]).abs().max()) < 1


def test_a_frozen_backbone_stays_in_eval_mode_and_without_gradients() -> None:
    network = build(frozen=True).train()
    assert not any(module.training for module in network.image.backbone.modules())
    assert network.image.head.training
    assert network.text.backbone.training
    images = torch.rand(2, 3, 16, 16, requires_grad=True)
    network.hash_images(images).sum().backward()
    assert all(parameter.grad is None for parameter in network.image.backbone.parameters())
    assert all(parameter.grad is not None for parameter in network.image.head.parameters())
    assert images.grad is not None
    assert bool(images.grad.any())
    assert network.eval().train(False).training is False


def test_on_features_skips_the_backbone_and_shares_the_rest() -> None:
    network = build().eval()
    images, texts = torch.rand(2, 3, 16, 16), torch.rand(2, 6)
    short = network.on_features()
    assert torch.equal(short.hash_images(network.image.backbone(images)), network.hash_images(images))
    assert torch.equal(short.hash_texts(texts), network.hash_texts(texts))
    assert {id(p) for p in short.parameters()} <= {id(p) for p in network.parameters()}
    with pytest.raises(TypeError, match="HashHead, it has no backbone"):
        short.on_features()


def test_relaxed_distance_of_binary_codes_counts_differing_bits() -> None:
    codes = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=4)))
    counted = [[sum(int(x != y) for x, y in zip(a, b, strict=True)) for b in codes.tolist()] for a in codes.tolist()]
    assert relaxed_distance(codes, codes).tolist() == counted


def test_binary_codes_takes_the_sign_and_counts_zero_as_plus_one() -> None:
    codes = binary_codes(torch.tensor([[0.2, -0.1, 0.0, -0.0, 1e-30, -1e-30]]))
    assert codes.dtype == torch.int8
    assert codes.tolist() == [[1, -1, 1, 1, 1, -1]]
