"""SignHunter (Al-Dujaili and O'Reilly, ICLR 2020, algorithm 2)."""

from collections.abc import Iterator

import torch
from torch import Tensor

from aach_lightning.attacks.search.climbing import climb
from aach_lightning.attacks.search.problem import Found, Problem


class SignHunter:
    """Divide and conquer: flips the signs of all entries, of each half, each quarter, ..., of single entries.

    It begins with +1 everywhere and draws no random number. Entries are taken in the order channel, row, column. On
    ties the newer signs stay, as in the paper. After the single entries it starts from the whole again with the signs
    it has found (the authors' code moves the clean item there and starts from +1, by which the score may fall).
    """

    def __call__(self, problem: Problem) -> Found:
        """Search; see `Search`."""
        chunks = flipped_chunks(problem.clean[0].numel())

        def propose(number: int, rows: Tensor, tried: Tensor) -> Tensor:
            tried.flatten(1)[:, next(chunks)].neg_()
            return tried

        return climb(problem, torch.ones_like(problem.clean), propose, newer_on_ties=True)


def flipped_chunks(entries: int) -> Iterator[slice]:
    """Which entries to flip, step by step, without end.

    Example:
        >>> chunks = flipped_chunks(3)
        >>> [(chunk.start, chunk.stop) for chunk, _ in zip(chunks, range(7))]
        [(0, 3), (0, 2), (2, 3), (0, 1), (1, 2), (2, 3), (0, 3)]
    """
    while True:
        parts = 1
        while True:
            length = -(-entries // parts)
            for start in range(0, entries, length):
                yield slice(start, min(start + length, entries))
            if length == 1:
                break
            parts *= 2
