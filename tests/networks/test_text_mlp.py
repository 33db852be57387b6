import pytest
import torch

from aach_lightning.networks import TextMLP


def test_hand_computed() -> None:
    network = TextMLP(text_width=2, width=3)
    with torch.no_grad():
        network.hidden.weight.copy_(torch.tensor([[1.0, 2.0], [-1.0, 0.0], [0.5, 0.5]]))
        network.hidden.bias.copy_(torch.tensor([0.0, 0.5, -4.0]))
    assert network(torch.tensor([[1.0, 1.0], [0.0, 3.0]])).tolist() == [[3.0, 0.0, 0.0], [6.0, 0.5, 0.0]]


def test_default_is_the_width_of_dcmh() -> None:
    assert TextMLP(3).width == 8192


@pytest.mark.parametrize(("text_width", "width"), [(0, 4), (4, 0), (-1, 4)])
def test_widths_must_be_positive(text_width: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"text_width={text_width} and width={width}"):
        TextMLP(text_width, width=width)
