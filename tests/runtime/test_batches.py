import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.runtime.batches import BATCH, _in_order, map_batches


def test_results_stand_in_the_order_of_the_rows() -> None:
    rows = np.random.default_rng(0).permutation(3 * BATCH + 5).astype(np.int64)
    seen: list[int] = []

    def compute(batch: NDArray[np.int64]) -> tuple[Tensor, ...]:
        seen.append(len(batch))
        return torch.from_numpy(batch) ** 2, torch.from_numpy(batch)[:, None].float()

    squares, columns = map_batches(compute, rows)
    assert squares.tolist() == [int(row) ** 2 for row in rows]
    assert columns.tolist() == [[float(row)] for row in rows]
    assert seen == [BATCH] * 3 + [5]
    assert not squares.is_inference()


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        map_batches(lambda batch: (torch.from_numpy(batch),), np.zeros(0, np.int64))


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_batches_are_dealt_back(processes: int) -> None:
    batches = list(torch.arange(17).split([4, 4, 4, 4, 1]))
    by_rank = [torch.cat(batches[rank::processes]) for rank in range(processes)]
    assert _in_order(by_rank, [len(batch) for batch in batches]).tolist() == list(range(17))
