from collections.abc import Callable

import pytest
import torch

from aach_lightning.evaluation.protocol import Searched
from aach_lightning.evaluation.targeted import targeted_map, wanted_labels


def draw(count: int, bits: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (count, bits), generator=generator, dtype=torch.int8) * 2 - 1


def test_relevance_is_the_wanted_label_and_owners_of_it_are_left_out(naive_map: Callable[..., float]) -> None:
    own = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.uint8)
    wanted = wanted_labels(torch.tensor([1, 2, 0, 0]), 3)
    labels = (torch.rand(25, 3, generator=torch.Generator().manual_seed(4)) < 0.4).to(torch.uint8)
    codes, searched = draw(4, 8, 1), draw(25, 8, 2)
    found = targeted_map(codes, own, wanted, Searched(searched, labels))
    kept = [0, 1, 3]  # the third has label 0 already
    assert found == pytest.approx(naive_map(codes[kept], wanted[kept], searched, labels), abs=1e-9)
    assert found != pytest.approx(naive_map(codes, wanted, searched, labels), abs=1e-9)


def test_a_query_that_is_pulled_onto_its_goal_finds_it_first() -> None:
    searched = torch.cat([torch.ones(5, 8, dtype=torch.int8), -torch.ones(20, 8, dtype=torch.int8)])
    labels = torch.tensor([[1, 0]] * 5 + [[0, 1]] * 20, dtype=torch.uint8)
    own, wanted = torch.tensor([[0, 1]], dtype=torch.uint8), torch.tensor([[1, 0]], dtype=torch.uint8)
    database = Searched(searched, labels)
    assert targeted_map(searched[:1], own, wanted, database) == 1.0
    far = targeted_map(searched[-1:], own, wanted, database)
    assert far == pytest.approx(sum((hit + 1) / (20 + hit + 1) for hit in range(5)) / 5)


def test_there_may_be_nobody_to_pull() -> None:
    own = torch.ones(2, 3, dtype=torch.uint8)
    database = Searched(draw(4, 8, 0), torch.ones(4, 3, dtype=torch.uint8))
    assert targeted_map(draw(2, 8, 1), own, wanted_labels(torch.tensor([0, 1]), 3), database) is None
