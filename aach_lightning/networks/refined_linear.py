"""RefinedLinear: the hash layer of CPAH, which hashes only what features have in common with the other modality."""

from typing import cast

from torch import Tensor, nn


class RefinedLinear(nn.Module):
    """Divides features f into a common part f * m and a private part f * (1 - m), and maps the common part linearly.

    m = sigmoid(W f + b), one entry a feature: the consistency refined module of CPAH (Xie et al., TIP 2020), whose mask
    a public port computes by a convolution over all features, which is this linear layer.

    Args:
        width: F, number of features.
        code_length: K, number of bits.

    Shapes: N x F float -> N x K float.
    """

    def __init__(self, width: int, code_length: int) -> None:
        super().__init__()
        self.mask = nn.Linear(width, width)
        self.hash = nn.Linear(width, code_length)

    def common(self, features: Tensor) -> Tensor:
        """The common part of features, N x F; what is left of them is private."""
        return features * cast(Tensor, self.mask(features)).sigmoid()

    def forward(self, features: Tensor) -> Tensor:
        """What the tanh of the head gets: N x K."""
        return cast(Tensor, self.hash(self.common(features)))
