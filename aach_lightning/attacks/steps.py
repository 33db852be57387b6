"""Step rules: from a gradient to the next perturbation, before projection."""

from typing import Protocol

import torch
from torch import Tensor


class Step(Protocol):
    """A step rule with a state for one batch of items; no item sees another."""

    def __call__(self, delta: Tensor, gradient: Tensor) -> Tensor:
        """Next delta that lowers the objective, both N x ...; not projected."""
        ...


class SignMomentum:
    """Steps of fixed size along the sign of accumulated gradients (MI-FGSM, Dong et al., CVPR 2018, alg. 1).

    Args:
        size: Step size in units of the input.
        momentum: Decay mu of the accumulated gradient; 0 gives plain sign-gradient steps.
    """

    def __init__(self, size: float, momentum: float) -> None:
        self.size = size
        self.momentum = momentum
        self._velocity: Tensor | None = None

    def __call__(self, delta: Tensor, gradient: Tensor) -> Tensor:
        """Next delta; see `Step`."""
        mean = gradient.abs().flatten(1).mean(dim=1).clamp_min(torch.finfo(gradient.dtype).tiny)
        scaled = gradient / mean.view(-1, *[1] * (gradient.ndim - 1))
        self._velocity = scaled if self._velocity is None else self._velocity.mul_(self.momentum).add_(scaled)
        return self._velocity.sign().mul_(-self.size).add_(delta)


class AdamStep:
    """Adam (Kingma and Ba, 2015, alg. 1) on delta, entry by entry.

    Args:
        size: Learning rate in units of the input.
    """

    def __init__(self, size: float) -> None:
        self.size = size
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
