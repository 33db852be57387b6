"""Where a perturbation may lie: the epsilon ball, and the range of valid inputs."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Norm = Literal["linf", "l2", "one_sided"]


@dataclass(frozen=True)
class Space:
    """Bounds of delta for one modality.

    Attributes:
        epsilon: Largest norm of each item's delta, in units of the input (pixels lie in [0, 1], so 8/255 is 0.0314).
        norm: "linf", the largest entry; "l2", the Euclidean norm over all entries of an item; "one_sided", the largest
            entry, where none may be negative.
        low: Smallest valid input value.
        high: Largest valid input value.
    """

    epsilon: float
    norm: Norm
    low: float
    high: float

    def project(self, clean: Tensor, delta: Tensor) -> Tensor:
        """Nearest allowed perturbation: into the ball, then clean + delta into the valid range.

        Cutting to the range never makes |delta| larger, as clean itself is valid, so both bounds hold at the end.
        """
        if self.norm != "l2":
            delta = delta.clamp(0.0 if self.norm == "one_sided" else -self.epsilon, self.epsilon)
        else:
            lengths = delta.flatten(1).norm(dim=1).clamp_min(torch.finfo(delta.dtype).tiny)
            delta = delta * (self.epsilon / lengths).clamp(max=1).view(-1, *[1] * (delta.ndim - 1))
        return (clean + delta).clamp_(self.low, self.high).sub_(clean)

    def sign_noise(self, clean: Tensor, signs: Tensor) -> Tensor:
        """Perturbation of full strength along `signs` in {-1, +1}, cut to the valid range.

        Under l2 every entry gets the same size, epsilon / sqrt(number of entries).
        """
        size = self.epsilon / signs[0].numel() ** 0.5 if self.norm == "l2" else self.epsilon
        return self.project(clean, size * signs)
