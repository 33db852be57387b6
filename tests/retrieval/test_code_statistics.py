import pytest
import torch

from aach_lightning.retrieval.code_statistics import bit_balance, count_distinct_codes


def test_a_collapsed_hash_shows() -> None:
    codes = torch.ones(50, 70, dtype=torch.int8)
    assert bit_balance(codes).tolist() == [1.0] * 70
    assert count_distinct_codes(codes) == 1


def test_balance_and_distinct_codes_equal_counting_rows() -> None:
    codes = (torch.rand(200, 65, generator=torch.Generator().manual_seed(0)) < 0.1).to(torch.int8) * 2 - 1
    codes[100:, :60] = -1
    rows = codes.tolist()
    assert bit_balance(codes).tolist() == pytest.approx(
        [sum(bit == 1 for bit in bits) / 200 for bits in zip(*rows, strict=True)]
    )
    assert count_distinct_codes(codes) == len({tuple(row) for row in rows})


@pytest.mark.parametrize("statistic", [bit_balance, count_distinct_codes])
def test_empty_and_relaxed_codes_are_refused(statistic) -> None:
    with pytest.raises(ValueError, match="no codes"):
        statistic(torch.ones(0, 8))
    with pytest.raises(ValueError, match=r"-1 or \+1"):
        statistic(torch.full((2, 8), 0.3))
