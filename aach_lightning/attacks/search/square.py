"""Square Attack under l_inf (Andriushchenko et al., ECCV 2020, algorithms 1 and 2)."""

from bisect import bisect_left
from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from aach_lightning.attacks.search.climbing import climb
from aach_lightning.attacks.search.problem import Found, Problem
from aach_lightning.runtime.seeding import torch_generator

# The share is halved after so many of 10,000 steps, and with them for any other number of steps.
HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


class SquareAttack:
    """Random search: a square at a random place gets a random sign in each channel, and stays if the score rises.

    It begins with vertical stripes of random signs. Squares become smaller on the authors' schedule, stretched to the
    number of queries. A square is drawn again until it changes something, as in the authors' code. On ties the older
    delta stays, as in the paper, unless `newer_on_ties` lets it wander over the plateaus of a score in whole bits. In a
    text vector the "square" is a run of neighbouring entries, and the stripes are random signs of all entries.

    Args:
        changed: Share of the pixels (entries of a text) that the first squares cover, in (0, 1]; p of the paper.
        newer_on_ties: Keep a square that leaves the score as it was.
    """

    def __init__(self, changed: float, newer_on_ties: bool) -> None:
        self.changed, self.newer_on_ties = changed, newer_on_ties

    def __call__(self, problem: Problem) -> Found:
        """Search; see `Search`."""
        shape = problem.clean.shape[1:]
        generators = [torch_generator(problem.seed, "square", item) for item in problem.ids.tolist()]
        stripes = (shape[0], 1, shape[2]) if len(shape) == 3 else shape
        signs = torch.stack([_random_signs(stripes, generator).expand(shape) for generator in generators])

        def propose(number: int, rows: Tensor, tried: Tensor) -> Tensor:
            share = share_at(self.changed, number, problem.limit - 1)
            for signs, row in zip(tried, rows.tolist(), strict=True):
                _draw_square(signs, share, generators[row])
            return tried

        return climb(problem, signs, propose, self.newer_on_ties)


def share_at(changed: float, step: int, steps: int) -> float:
    """Share of the pixels that the square of a step covers.

    Example:
        >>> share_at(0.8, 0, 100), share_at(0.8, 1, 100), share_at(0.8, 99, 100)
        (0.8, 0.2, 0.0015625)
    """
    return changed * 0.5 ** bisect_left(HALVED_AFTER, int(step / steps * 10_000))


def _draw_square(signs: Tensor, share: float, generator: torch.Generator) -> None:
    """Change the signs, 3 x H x W or D, in a square of this share."""
    sides = signs.shape[1:] if signs.ndim == 3 else signs.shape
    side = min(max(round((share * prod(sides)) ** (1 / len(sides))), 1), min(sides))
    window = signs
    for axis, extent in enumerate(sides, start=signs.ndim - len(sides)):
        start = int(torch.randint(extent - side + 1, (1,), generator=generator))
        window = window.narrow(axis, start, side)
    colours = (signs.shape[0], 1, 1) if signs.ndim == 3 else (1,)
    before = window.clone()
    while torch.equal(window, before):
        window.copy_(_random_signs(colours, generator).expand_as(window))


def _random_signs(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, tuple(shape), generator=generator).float().mul_(2).sub_(1)
