from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

Retrieval = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture
def draw_retrieval() -> Callable[..., Retrieval]:
    """Random query codes and labels, database codes and labels; few bits in play, so that ties are many."""

    def draw(queries: int, items: int, code_length: int = 12, classes: int = 5, seed: int = 0) -> Retrieval:
        generator = torch.Generator().manual_seed(seed)

        def codes(rows: int) -> Tensor:
            return (torch.rand(rows, code_length, generator=generator) < 0.4).to(torch.int8) * 2 - 1

        def labels(rows: int) -> Tensor:
            return (torch.rand(rows, classes, generator=generator) < 0.2).to(torch.uint8)

        return codes(queries), labels(queries), codes(items), labels(items)

    return draw


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)
