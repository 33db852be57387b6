"""The loop that learns every perturbation: a gradient, a step, the way back into the bounds."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from aach_lightning.perturbations.space import Space
from aach_lightning.perturbations.step import SignMomentum, Step

Gradient = Callable[[int, Tensor], Tensor]
"""Number of the step and a point, N x ..., to the gradient there of what is minimised, of the same shape."""


def descend(start: Tensor, gradient: Gradient, step: Step, project: Callable[[Tensor], Tensor], steps: int) -> Tensor:
    """Lower an objective by projected steps along its gradients.

    Args:
        start: N x ..., the first point: perturbations, or perturbed inputs.
        gradient: At the point that the step rule looks ahead to.
        step: A fresh step rule.
        project: A point to the nearest one within the bounds.
        steps: Number of steps.

    Returns:
        The last point, N x ..., without a gradient.
    """
    point = start.detach()
    with torch.enable_grad():
        for number in range(steps):
            found = gradient(number, step.lookahead(point))
            with torch.no_grad():
                # a step reads many tensors at once, which is slow where their memory orders differ
                point = project(step(point, found.contiguous()))
    return point


def gradient_of(loss: Callable[[Tensor], Tensor]) -> Gradient:
    """The plain gradient of a loss that maps points to N values, each of its own item alone."""

    def gradient(number: int, point: Tensor) -> Tensor:
        point = point.detach().requires_grad_()
        (found,) = torch.autograd.grad(loss(point).sum(), point)
        return found

    return gradient


@dataclass(frozen=True)
class PGD:
    """Plain sign steps within the bounds (Madry et al., ICLR 2018).

    Attributes:
        space: Bounds of the change, under the norm "linf".
        steps: Number of steps.
        size: Size of a step, in units of the input.
    """

    space: Space
    steps: int
    size: float

    def __call__(self, loss: Callable[[Tensor], Tensor], clean: Tensor, start: Tensor | None = None) -> Tensor:
        """Change inputs so that a loss falls.

        Args:
            loss: Inputs to N values, each of its own input alone.
            clean: N x ..., inputs.
            start: Where to start, as a share of epsilon in [-1, 1], of the shape of `clean`; None for the clean inputs.

        Returns:
            The changed inputs, N x ..., without a gradient.
        """
        allowed = partial(self.space.nearest, clean)
        first = clean if start is None else allowed(clean + self.space.epsilon * start)
        return descend(first, gradient_of(loss), SignMomentum(self.size, 0.0), allowed, self.steps)
