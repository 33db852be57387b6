"""Perturbations that a target learns to withstand."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from aach_lightning.config.target import HardeningConfig
from aach_lightning.data.pairs import Pairs


@dataclass(frozen=True)
class Perturbation:
    """Sign steps within an epsilon ball of the largest entry (PGD; Madry et al., ICLR 2018).

    Attributes:
        epsilon: Largest change of an entry, in units of the input.
        low: Smallest valid input value.
        high: Largest valid input value.
        steps: Number of steps.
        size: Size of a step, in units of the input.
    """

    epsilon: float
    low: float
    high: float
    steps: int
    size: float

    def __call__(self, loss: Callable[[Tensor], Tensor], clean: Tensor, start: Tensor | None = None) -> Tensor:
        """Lower a loss.

        Args:
            loss: Inputs to N values, each of its own input alone.
            clean: N x ..., inputs.
            start: Where to start, as a share of epsilon in [-1, 1], of the shape of `clean`; None for the clean inputs.

        Returns:
            N x ..., within the ball around `clean` and the valid range; no gradient.
        """
        changed = clean if start is None else self._allowed(clean, clean + self.epsilon * start)
        with torch.enable_grad():
            for _ in range(self.steps):
                changed = changed.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(loss(changed).sum(), changed)
                changed = self._allowed(clean, changed.detach() - self.size * gradient.sign())
        return changed

    def _allowed(self, clean: Tensor, changed: Tensor) -> Tensor:
        return torch.clamp(changed, clean - self.epsilon, clean + self.epsilon).clamp_(self.low, self.high)


def perturbations(config: HardeningConfig, pairs: Pairs) -> tuple[Perturbation, Perturbation]:
    """Of images, and of texts."""
    image, text = config.epsilon / 255, config.text_epsilon
    return (
        Perturbation(image, 0.0, 1.0, config.steps, config.step_size * image),
        Perturbation(text, pairs.text_low, pairs.text_high, config.steps, config.step_size * text),
    )
