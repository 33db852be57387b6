"""Where a perturbation may lie: the epsilon ball, and the range of valid inputs."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs

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

    @classmethod
    def of(cls, modality: Modality, pairs: Pairs, epsilon: float, text_epsilon: float, norm: Norm = "linf") -> "Space":
        """Bounds for one modality of a data set: `epsilon` of images in 1/255, `text_epsilon` in units of an entry."""
        size = epsilon / 255 if modality is Modality.image else text_epsilon
        return cls(size, norm, *modality.bounds(pairs))

    def project(self, clean: Tensor, delta: Tensor) -> Tensor:
        """Nearest allowed perturbation: into the ball, then clean + delta into the valid range.

        Cutting to the range never makes |delta| larger, as clean itself is valid, so both bounds hold at the end.
        """
        return (clean + self.into_ball(delta)).clamp_(self.low, self.high).sub_(clean)

    def into_ball(self, delta: Tensor) -> Tensor:
        """Nearest perturbation in the ball, whatever it is added to."""
        if self.norm != "l2":
            return delta.clamp(0.0 if self.norm == "one_sided" else -self.epsilon, self.epsilon)
        lengths = delta.flatten(1).norm(dim=1).clamp_min(torch.finfo(delta.dtype).tiny)
        shortened: Tensor = delta * (self.epsilon / lengths).clamp(max=1).view(-1, *[1] * (delta.ndim - 1))
        return shortened

    def nearest(self, clean: Tensor, changed: Tensor) -> Tensor:
        """Nearest allowed input to a changed one, N x ..., under "linf": in the ball around `clean`, in the range."""
        return torch.clamp(changed, clean - self.epsilon, clean + self.epsilon).clamp_(self.low, self.high)

    def entry_size(self, entries: int) -> float:
        """Size of each of `entries` entries of a delta that fills the ball evenly: epsilon, or its share under l2."""
        return self.epsilon / entries**0.5 if self.norm == "l2" else self.epsilon

    def sign_noise(self, clean: Tensor, signs: Tensor) -> Tensor:
        """Perturbation of full strength along `signs` in {-1, +1}, cut to the valid range."""
        return self.project(clean, self.entry_size(signs[0].numel()) * signs)
