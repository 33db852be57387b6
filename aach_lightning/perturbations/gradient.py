"""How the gradient of a step is taken, so that what fools the source fools other networks too."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.networks.placement import resize_and_pad
from aach_lightning.perturbations.diversity import InputDiversity
from aach_lightning.runtime.seeding import torch_generator

Value = Callable[[Tensor, Tensor], Tensor]
"""Inputs as they are seen, N x ..., and delta, to the objective, N values."""


@dataclass(frozen=True)
class GradientRule:
    """Gradient of the objective at clean + delta, averaged over views of the input.

    Attributes:
        diversity: Random resize and pad (DI-FGSM); None to leave it out. Images only.
        scales: m copies of the input, divided by 1, 2, ..., 2^(m-1) (SI-FGSM, Lin et al., ICLR 2020); 1 for the input
            alone.
        smoothing: Odd width of the Gaussian kernel that smooths the gradient, its standard deviation a third of the
            half-width (TI-FGSM, Dong et al., CVPR 2019); 1 to leave it out. Images only.
        neighbours: n random neighbours from which the variance of the last gradient is estimated and added to the next
            (VMI-FGSM, Wang and He, CVPR 2021); 0 to leave it out.
        radius: Largest change of an entry in a neighbour, in units of the input.
        seed: Base seed.
    """

    diversity: InputDiversity | None = None
    scales: int = 1
    smoothing: int = 1
    neighbours: int = 0
    radius: float = 0.0
    seed: int = 0


class GradientOfItems:
    """The gradients of one batch, step after step.

    Args:
        rule: What is averaged.
        ids: int64, N; randomness is drawn for each item from (seed, id), so that no batch changes it.
        steps: Number of steps that will be taken.
        clean: N x ..., the clean inputs.
    """

    def __init__(self, rule: GradientRule, ids: Tensor, steps: int, clean: Tensor) -> None:
        self.rule, self.clean = rule, clean
        self._placements = None if rule.diversity is None else rule.diversity.draw(ids, steps).to(clean)
        self._variance: Tensor | None = None
        self._generators = [torch_generator(rule.seed, "neighbours", item) for item in ids.tolist()]

    def __call__(self, number: int, delta: Tensor, value: Value) -> tuple[Tensor, Tensor]:
        """Gradient at `delta` in step `number`, N x ..., and the objective there, N values, without gradient."""
        gradient, found = self._over_scales(number, delta, value)
        if self.rule.neighbours:
            tuned = gradient if self._variance is None else gradient + self._variance
            around = torch.zeros_like(gradient)
            for _ in range(self.rule.neighbours):
                around += self._over_scales(number, delta + self._shift(), value)[0]
            self._variance = around / self.rule.neighbours - gradient
            gradient = tuned
        if self.rule.smoothing > 1:
            gradient = smooth(gradient, self.rule.smoothing)
        return gradient, found

    def _over_scales(self, number: int, delta: Tensor, value: Value) -> tuple[Tensor, Tensor]:
        total, first = None, None
        for power in range(self.rule.scales):
            point = delta.detach().requires_grad_()
            seen = self.clean + point
            if power:
                seen = seen / 2**power
            if self._placements is not None:
                seen = resize_and_pad(seen, self._placements[number])
            found = value(seen, point)
            (gradient,) = torch.autograd.grad(found.sum(), point)
            first = found.detach() if first is None else first
            total = gradient if total is None else total + gradient
        if total is None or first is None:
            raise ValueError(f"scales must be at least 1, got {self.rule.scales}")
        return (total if self.rule.scales == 1 else total / self.rule.scales), first

    def _shift(self) -> Tensor:
        shape = self.clean.shape[1:]
        draws = [torch.rand(shape, generator=generator) for generator in self._generators]
        return (2 * torch.stack(draws) - 1).to(self.clean) * self.rule.radius


def smooth(gradient: Tensor, width: int) -> Tensor:
    """Convolve each channel with a Gaussian kernel that sums to 1; outside the image the gradient is 0.

    Args:
        gradient: N x C x H x W.
        width: Odd number of pixels, at least 3.
    """
    places = torch.arange(width, dtype=gradient.dtype, device=gradient.device) - width // 2
    line = torch.exp(-0.5 * (places / (width / 2 / 3)).square())
    line = line / line.sum()
    channels = gradient.shape[1]
    column, row = (line.view(shape).expand(channels, 1, *shape[2:]) for shape in ((1, 1, -1, 1), (1, 1, 1, -1)))
    half = width // 2
    smoothed = F.conv2d(gradient, column.contiguous(), padding=(half, 0), groups=channels)
    return F.conv2d(smoothed, row.contiguous(), padding=(0, half), groups=channels)
