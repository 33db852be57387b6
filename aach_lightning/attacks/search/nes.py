"""NES (Ilyas et al., ICML 2018): the gradient of the score estimated from queries, then sign steps along it."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from aach_lightning.attacks.search.problem import Found, Problem
from aach_lightning.attacks.search.scores import Scores
from aach_lightning.runtime.seeding import torch_generator


class NES:
    """Projected steps along the sign of an estimated gradient.

    Each step costs `samples` queries around the present delta and one for the delta that the step leads to. The probes
    lie in the valid range but may leave the epsilon ball, as in the paper; deltas do not. The last steps take as many
    samples as the limit leaves; fewer than 4 queries in all give no step, and delta stays 0. The paper ends with the
    last delta; this ends with the best of those that were scored, the newer one on ties, which is never worse.

    Args:
        samples: Queries for one estimate, even: pairs of opposite probes; n of the paper.
        sigma: Standard deviation of the probes, as a share of the largest change of an entry.
        step_size: Size of a step, as a share of the largest change of an entry; eta of the paper.
        momentum: Weight of the past in the running mean of estimates, in [0, 1); from the authors' code.
    """

    def __init__(self, samples: int, sigma: float, step_size: float, momentum: float) -> None:
        self.samples, self.sigma, self.step_size, self.momentum = samples, sigma, step_size, momentum

    def __call__(self, problem: Problem) -> Found:
        """Search; see `Search`."""
        clean, space = problem.clean, problem.space
        unit = space.entry_size(clean[0].numel())
        generators = [torch_generator(problem.seed, "nes", item) for item in problem.ids.tolist()]
        scores = Scores(problem)
        delta, mean, found = torch.zeros_like(clean), torch.zeros_like(clean), torch.zeros_like(clean)
        best = torch.zeros(len(clean), dtype=torch.int64)
        left = problem.limit - 1
        while left >= 3 and len(rows := (best < scores.highest).nonzero().flatten()):
            pairs = min(self.samples // 2, (left - 1) // 2)
            draws = (_normal(clean.shape[1:], [generators[row] for row in rows.tolist()]) for _ in range(pairs))

            def probe(at: Tensor, rows: Tensor = rows) -> Tensor:
                inside = (clean[rows] + at).clamp_(space.low, space.high).sub_(clean[rows])
                return scores(rows, inside)

            gradient = estimate_gradient(probe, delta[rows], draws, self.sigma * unit)
            mean[rows] = self.momentum * mean[rows] + (1 - self.momentum) * gradient
            delta[rows] = space.project(clean[rows], delta[rows] + self.step_size * unit * mean[rows].sign())
            score = scores(rows, delta[rows])
            better = rows[score >= best[rows]]
            found[better], best[better] = delta[better], score[score >= best[rows]]
            left -= 2 * pairs + 1
        return Found(found, best, scores.queries)


def estimate_gradient(score: Callable[[Tensor], Tensor], at: Tensor, draws: Iterable[Tensor], sigma: float) -> Tensor:
    """Estimate the gradient of a score from pairs of opposite probes (algorithm 1 of the paper).

    Args:
        score: N x ... to N values.
        at: N x ..., where.
        draws: Standard normal noise for each pair of probes, each N x ...
        sigma: Standard deviation of the probes.

    Returns:
        N x ..., mean over the pairs of (score(at + sigma u) - score(at - sigma u)) u / (2 sigma).
    """
    total, pairs = torch.zeros_like(at), 0
    for noise in draws:
        difference = score(at + sigma * noise) - score(at - sigma * noise)
        total += difference.view(-1, *[1] * (at.ndim - 1)) * noise
        pairs += 1
    return total / (2 * sigma * pairs)


def _normal(shape: torch.Size, generators: Iterable[torch.Generator]) -> Tensor:
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])
