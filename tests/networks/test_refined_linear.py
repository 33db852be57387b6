import math

import pytest
import torch
from torch import nn

from aach_lightning.networks.hashing import HashHead
from aach_lightning.networks.refined_linear import RefinedLinear


def test_it_hashes_the_masked_features() -> None:
    layer = RefinedLinear(2, 1)
    with torch.no_grad():
        layer.mask.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -2.0]]))
        layer.mask.bias.copy_(torch.tensor([0.0, 1.0]))
        layer.hash.weight.copy_(torch.tensor([[3.0, 0.5]]))
        layer.hash.bias.fill_(0.25)
    first, second = 2 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))
    features = torch.tensor([[2.0, 1.0]])
    assert layer.common(features)[0].tolist() == pytest.approx([first, second])
    assert layer(features).item() == pytest.approx(3 * first + 0.5 * second + 0.25)


def test_a_head_that_is_refined_gives_all_features_and_hashes_common_ones() -> None:
    torch.manual_seed(0)
    head = HashHead(6, 4, hidden=5, refined=True).eval()
    inputs = torch.randn(3, 6)
    semantics, codes = head.with_semantics(inputs)
    linear = [layer for layer in head if isinstance(layer, nn.Linear)]
    norm = nn.functional.layer_norm(inputs, (6,))
    torch.testing.assert_close(semantics, linear[0](norm).clamp(min=0))
    layer = head[-2]
    assert isinstance(layer, RefinedLinear)
    mask = 1 / (1 + torch.exp(-(semantics @ layer.mask.weight.T + layer.mask.bias)))
    expected = torch.tanh((semantics * mask) @ layer.hash.weight.T + layer.hash.bias)
    torch.testing.assert_close(codes, expected)
    torch.testing.assert_close(head(inputs), expected)
    torch.testing.assert_close(head.logits(inputs).tanh(), expected)
