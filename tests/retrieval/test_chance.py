import pytest
import torch

from aach_lightning.retrieval import chance_level, mean_average_precision


def test_chance_is_the_map_of_random_long_codes() -> None:
    # Codes of many bits have few ties: this is a mean over random rankings, not over orders of one group of ties.
    generator = torch.Generator().manual_seed(0)
    query_labels = (torch.rand(300, 6, generator=generator) < 0.3).to(torch.uint8)
    labels = (torch.rand(40, 6, generator=generator) < 0.3).to(torch.uint8)
    query_codes = (torch.rand(300, 512, generator=generator) < 0.5).to(torch.int8) * 2 - 1
    codes = (torch.rand(40, 512, generator=generator) < 0.5).to(torch.int8) * 2 - 1
    random = mean_average_precision(query_codes, query_labels, codes, labels)
    assert chance_level(query_labels, labels) == pytest.approx(random, abs=0.01)


def test_without_anything_relevant_there_is_no_chance_level() -> None:
    with pytest.raises(ValueError, match="none of the 1 queries has a relevant item"):
        chance_level(torch.tensor([[1, 0]]), torch.tensor([[0, 1]]))
