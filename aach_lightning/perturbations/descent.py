"""The loop that learns every perturbation: a gradient, a step, the way back into the bounds."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from aach_lightning.perturbations.gradient import GradientOfItems, GradientRule
from aach_lightning.perturbations.space import Space
from aach_lightning.perturbations.step import SignMomentum, Step
from aach_lightning.runtime.seeding import torch_generator

Hash = Callable[[Tensor], Tensor]
"""N x ... inputs to relaxed codes N x K, each input alone."""
Loss = Callable[[Tensor, Tensor], Tensor]
"""Relaxed codes of the changed items, N x K, and the change, N x ..., to N values, each of its own item alone."""
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


class Learner(Protocol):
    """How a change for each item is learned."""

    def __call__(self, hashing: Hash, loss: Loss, clean: Tensor, ids: Tensor) -> tuple[Tensor, Tensor | None]:
        """Change items so that a loss falls; no item sees another.

        Args:
            hashing: The source of an attack.
            loss: What is minimised.
            clean: N x ..., inputs.
            ids: int64, N; an item's random numbers come from its id alone.

        Returns:
            The changes, N x ..., within their bounds; and where steps are taken, float64, the loss before each of them,
            summed over the items.
        """
        ...


@dataclass(frozen=True)
class Descent:
    """Projected steps from the clean item, or from a random place in the ball.

    Attributes:
        space: Bounds of the change.
        new_step: Makes a fresh step rule for a batch.
        gradients: How gradients are taken.
        steps: Number of steps.
        random_start: Start at a random place in the ball.
        seed: Base seed of that place.
    """

    space: Space
    new_step: Callable[[], Step]
    gradients: GradientRule
    steps: int
    random_start: bool
    seed: int

    def __call__(self, hashing: Hash, loss: Loss, clean: Tensor, ids: Tensor) -> tuple[Tensor, Tensor | None]:
        """Learn changes; see `Learner`."""
        gradients, objective = GradientOfItems(self.gradients, ids, self.steps, clean), list[Tensor]()

        def gradient(number: int, point: Tensor) -> Tensor:
            found, values = gradients(number, point, lambda seen, change: loss(hashing(seen), change))
            objective.append(values.sum(dtype=torch.float64))
            return found

        project = partial(self.space.project, clean)
        delta = descend(self._start(clean, ids), gradient, self.new_step(), project, self.steps)
        return delta, torch.stack(objective) if objective else None

    def _start(self, clean: Tensor, ids: Tensor) -> Tensor:
        if not self.random_start:
            return torch.zeros_like(clean)
        draws = [
            torch.rand(clean.shape[1:], generator=torch_generator(self.seed, "start", item)) for item in ids.tolist()
        ]
        uniform = 2 * torch.stack(draws).to(clean) - 1
        return self.space.project(clean, self.space.epsilon * uniform)
