"""TextMLP: text vector to features through one hidden layer."""

from torch import Tensor, nn


class TextMLP(nn.Module):
    """One fully connected ReLU layer over a text vector, as in DCMH (Jiang and Li, CVPR 2017: 8192 units).

    The layer that makes the code belongs to the hash head. Dropout and further layers do too, so a bag of words and a
    sentence embedding use the same class.

    Args:
        text_width: D, entries of the text vector.
        width: Number of features.

    Attributes:
        width: As given.

    Shapes: texts N x D float -> N x width, float >= 0.

    Raises:
        ValueError: If a width is not positive.

    Example:
        >>> import torch
        >>> TextMLP(1386, width=64)(torch.zeros(2, 1386)).shape
        torch.Size([2, 64])
    """

    def __init__(self, text_width: int, *, width: int = 8192) -> None:
        super().__init__()
        if text_width < 1 or width < 1:
            raise ValueError(f"TextMLP: widths must be positive, got text_width={text_width} and width={width}")
        self.width = width
        self.hidden = nn.Linear(text_width, width)

    def forward(self, texts: Tensor) -> Tensor:
        """Features of text vectors: N x width."""
        features: Tensor = self.hidden(texts)
        return features.relu()
