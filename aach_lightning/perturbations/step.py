"""Step rules: from a gradient to the next perturbation, before projection."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Step(ABC):
    """A step rule with a state for one batch of items; no item sees another."""

    def lookahead(self, delta: Tensor) -> Tensor:
        """Where the next gradient is to be taken: at `delta` itself, or ahead of it; N x ..., not projected."""
        return delta

    @abstractmethod
    def __call__(self, delta: Tensor, gradient: Tensor) -> Tensor:
        """Next delta that lowers the objective, both N x ...; not projected."""


class SignMomentum(Step):
    """Steps of fixed size along the sign of accumulated gradients (MI-FGSM, Dong et al., CVPR 2018, alg. 1).

    Args:
        size: Step size as a share of `unit`; a tensor, N x 1 x ..., where each item has its own.
        momentum: Decay mu of the accumulated gradient; 0 gives plain sign-gradient steps.
        nesterov: Take the gradient where the momentum alone would lead (NI-FGSM, Lin et al., ICLR 2020, eq. 6).
        unit: Epsilon, in units of the input.
    """

    def __init__(self, size: float | Tensor, momentum: float, nesterov: bool = False, unit: float = 1.0) -> None:
        self.size = size * unit
        self.momentum = momentum
        self.nesterov = nesterov
        self._velocity: Tensor | None = None

    def lookahead(self, delta: Tensor) -> Tensor:
        """Where to take the gradient; see `Step`."""
        if not self.nesterov or self._velocity is None:
            return delta
        return delta - self.size * self.momentum * self._velocity

    def __call__(self, delta: Tensor, gradient: Tensor) -> Tensor:
        """Next delta; see `Step`."""
        if not self.momentum:
            return gradient.sign().mul_(-self.size).add_(delta)
        mean = gradient.abs().flatten(1).mean(dim=1).clamp_min(torch.finfo(gradient.dtype).tiny)
        scaled = gradient / mean.view(-1, *[1] * (gradient.ndim - 1))
        self._velocity = scaled if self._velocity is None else self._velocity.mul_(self.momentum).add_(scaled)
        return self._velocity.sign().mul_(-self.size).add_(delta)


class AdamStep(Step):
    """Adam (Kingma and Ba, 2015, alg. 1) on delta, entry by entry.

    Args:
        size: Learning rate as a share of `unit`.
        unit: Epsilon, in units of the input.
    """

    def __init__(self, size: float, unit: float = 1.0) -> None:
        self.size = size * unit
        self._delta: Tensor | None = None
        self._optimizer: torch.optim.Adam | None = None

    def __call__(self, delta: Tensor, gradient: Tensor) -> Tensor:
        """Next delta; see `Step`."""
        if self._delta is None or self._optimizer is None:
            self._delta = delta.clone()
            self._optimizer = torch.optim.Adam([self._delta], lr=self.size)
        self._delta.copy_(delta)
        self._delta.grad = gradient
        self._optimizer.step()
        return self._delta.clone()
