import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from aach_lightning.zoo.text_multiscale import TextMultiScale


def naive_scale(text: NDArray[np.float64], pool: int, factor: float, offset: float) -> NDArray[np.float64]:
    """Average windows, factor and offset, ReLU; then a straight line between the centres of the stretched windows."""
    count = len(text) // pool
    values = [max(0.0, factor * float(np.mean(text[i * pool : (i + 1) * pool])) + offset) for i in range(count)]
    stretched = len(text) / count
    centres = [(i + 0.5) * stretched for i in range(count)]
    return np.interp([entry + 0.5 for entry in range(len(text))], centres, values)


@pytest.mark.parametrize("words", [1, 4, 5, 12, 50, 137])
def test_forward_equals_naive_loops(words: int) -> None:
    torch.manual_seed(words)
    network = TextMultiScale(words, hidden=16, width=8).double()
    factors, offsets = [0.5, -1.0, 2.0, 1.5, 1.0], [0.0, 0.8, -0.4, 0.1, 0.2]
    with torch.no_grad():
        for scale, factor, offset in zip(network.scales, factors, offsets, strict=True):
            scale.factor.fill_(factor)
            scale.offset.fill_(offset)
    texts = torch.rand(3, words, dtype=torch.double)
    texts[2] -= 0.6  # an embedding has negative entries
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    expected = []
    for text in texts.numpy():
        scales = [
            naive_scale(text, min(pool, words), factor, offset)
            for pool, factor, offset in zip((50, 30, 15, 10, 5), factors, offsets, strict=True)
        ]
        features = np.concatenate([text, *scales])
        for layer in ("hidden", "features"):
            features = np.maximum(weights[f"{layer}.weight"] @ features + weights[f"{layer}.bias"], 0)
        expected.append(features)
    # The matrix of the resize was made in float32.
    np.testing.assert_allclose(network(texts).detach().numpy(), np.stack(expected), rtol=1e-5, atol=1e-6)


def test_every_scale_is_trained_from_the_start() -> None:
    torch.manual_seed(0)
    network = TextMultiScale(100, hidden=16, width=8)
    network((torch.rand(4, 100) < 0.05).float()).sum().backward()
    assert all(float(scale.factor.grad.abs()) > 0 for scale in network.scales)


def test_defaults_are_those_of_ssah() -> None:
    network = TextMultiScale(10)
    assert (network.hidden.in_features, network.hidden.out_features, network.width) == (60, 4096, 512)


@pytest.mark.parametrize(
    "arguments", [{"text_width": 0}, {"text_width": 9, "hidden": 0}, {"text_width": 9, "width": -1}]
)
def test_widths_must_be_positive(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="widths must be positive, got text_width="):
        TextMultiScale(**arguments)
