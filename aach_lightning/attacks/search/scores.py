"""The score of a change: the Hamming distance between the answered code and the item's clean code."""

import torch
from torch import Tensor

from aach_lightning.attacks.search.problem import Problem
from aach_lightning.runtime.files import digest


class Scores:
    """Asks for scores, and counts what each item has spent.

    The clean codes are asked for at once, one query an item. Images are rounded to 8 bits before they are sent, so that
    the score is that of what a target is shown. What an item has asked before is not sent again and costs nothing.

    Args:
        problem: The items.

    Attributes:
        queries: int64, N. Different queries of each item so far.
        highest: K, the largest score.
    """

    def __init__(self, problem: Problem) -> None:
        self._codes = problem.codes
        self._clean = problem.clean
        self._known: list[dict[str, int]] = [{} for _ in problem.ids]
        sent, contents = self._as_sent(problem.clean)
        self._clean_codes = self._codes(sent)
        for known, content in zip(self._known, contents, strict=True):
            known[content] = 0
        self.queries = torch.ones(len(problem.ids), dtype=torch.int64)
        self.highest = self._clean_codes.shape[1]

    def __call__(self, rows: Tensor, delta: Tensor) -> Tensor:
        """Ask for the scores of clean + delta.

        Args:
            rows: int64, n. The item of each change; an item may come several times.
            delta: float32, n x ...

        Returns:
            int64, n, in 0..K.
        """
        sent, contents = self._as_sent(self._clean[rows] + delta)
        items = rows.tolist()
        new: dict[tuple[int, str], int] = {}
        for position, (item, content) in enumerate(zip(items, contents, strict=True)):
            if content not in self._known[item]:
                new.setdefault((item, content), position)
        if new:
            positions = torch.tensor(list(new.values()))
            distances = (self._codes(sent[positions]) != self._clean_codes[rows[positions]]).sum(dim=1)
            for (item, content), distance in zip(new, distances.tolist(), strict=True):
                self._known[item][content] = distance
                self.queries[item] += 1
        return torch.tensor([self._known[item][content] for item, content in zip(items, contents, strict=True)])

    @staticmethod
    def _as_sent(inputs: Tensor) -> tuple[Tensor, list[str]]:
        """Inputs as a target is shown them, and a hash of each: the 8-bit pixels of images, texts as they are."""
        if inputs.ndim == 2:
            return inputs, [digest(item.numpy().data) for item in inputs]
        levels = inputs.mul(255).round_()
        return levels.div(255), [digest(item.numpy().data) for item in levels.to(torch.uint8)]
