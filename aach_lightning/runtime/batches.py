"""Inference batch by batch, shared among the processes of a run."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from aach_lightning.runtime import ranks

BATCH = 64


@torch.no_grad()
def map_batches(
    compute: Callable[[NDArray[np.int64]], tuple[Tensor, ...]], rows: NDArray[np.int64], description: str = ""
) -> tuple[Tensor, ...]:
    """Compute something for many rows; every process computes some batches and gets all results.

    Batches are the same however many processes there are, so that the results are the same bits.

    Args:
        compute: Up to BATCH of the rows to tensors with one entry a row, on any device.
        rows: int64, N, at least one.
        description: Shown beside a progress bar; empty for none.

    Returns:
        The results in the order of `rows`, each N x ..., on the CPU.

    Raises:
        ValueError: If there are no rows.
    """
    if not len(rows):
        raise ValueError("there must be at least one row")
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    mine = batches[ranks.rank() :: ranks.size()]
    shown = track(mine, description, transient=True) if description and ranks.is_first() else mine
    parts = [tuple(result.cpu() for result in compute(batch)) for batch in shown]
    if ranks.size() == 1:
        return tuple(torch.cat(part) for part in zip(*parts, strict=True))
    empty = ranks.on_first(lambda: [(part.shape[1:], part.dtype) for part in parts[0]])
    own = [torch.cat(part) for part in zip(*parts, strict=True)]
    own = own or [torch.empty((0, *shape), dtype=dtype) for shape, dtype in empty]
    counts = [sum(map(len, batches[rank :: ranks.size()])) for rank in range(ranks.size())]
    return tuple(_in_order(ranks.gather_rows(part, counts), [len(batch) for batch in batches]) for part in own)


def _in_order(by_rank: list[Tensor], sizes: list[int]) -> Tensor:
    """Deal the batches back: batch b was computed by process b modulo the number of processes."""
    waiting = [iter(torch.split(part, sizes[rank :: len(by_rank)])) for rank, part in enumerate(by_rank)]
    return torch.cat([next(waiting[number % len(waiting)]) for number in range(len(sizes))])
