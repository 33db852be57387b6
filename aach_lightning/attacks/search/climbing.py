"""Hill climbing over signs: what Square Attack and SignHunter have in common."""

from collections.abc import Callable

import torch
from torch import Tensor

from aach_lightning.attacks.search.problem import Found, Problem
from aach_lightning.attacks.search.scores import Scores

Propose = Callable[[int, Tensor, Tensor], Tensor]
"""Number of the step, positions of n items and a copy of their signs, n x ..., to the signs to try."""


def climb(problem: Problem, signs: Tensor, propose: Propose, newer_on_ties: bool) -> Found:
    """Change signs and keep what scores higher; every delta is of full strength in each entry.

    Args:
        problem: The items.
        signs: float32 in {-1, +1}, N x ..., where to begin.
        propose: Makes the next signs of items whose score is not yet K.
        newer_on_ties: Keep the proposal where it scores as high as what it would replace; else what was there before.
    """
    scores = Scores(problem)
    delta = problem.space.sign_noise(problem.clean, signs)
    best = scores(torch.arange(len(signs)), delta)
    for number in range(problem.limit - 2):
        rows = (best < scores.highest).nonzero().flatten()
        if not len(rows):
            break
        tried = propose(number, rows, signs[rows])
        change = problem.space.sign_noise(problem.clean[rows], tried)
        score = scores(rows, change)
        kept = score >= best[rows] if newer_on_ties else score > best[rows]
        signs[rows[kept]], delta[rows[kept]], best[rows[kept]] = tried[kept], change[kept], score[kept]
    return Found(delta, best, scores.queries)
