"""TextIdentity: text vectors that are features already, such as those of CLIP's text tower."""

from torch import Tensor, nn


class TextIdentity(nn.Module):
    """Gives the text vector as it is: the hash head is all that is trained.

    Args:
        text_width: D, entries of the text vector.

    Attributes:
        width: D.

    Shapes: texts N x D float -> N x D.

    Raises:
        ValueError: If text_width is not positive.

    Example:
        >>> import torch
        >>> TextIdentity(3)(torch.tensor([[0.5, 0.0, -1.0]]))
        tensor([[ 0.5000,  0.0000, -1.0000]])
    """

    def __init__(self, text_width: int) -> None:
        super().__init__()
        if text_width < 1:
            raise ValueError(f"TextIdentity: text_width must be positive, got {text_width}")
        self.width = text_width

    def forward(self, texts: Tensor) -> Tensor:
        """Features of text vectors: N x D."""
        return texts
