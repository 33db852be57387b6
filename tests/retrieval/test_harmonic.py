from fractions import Fraction

import pytest
import torch

from aach_lightning.retrieval.average_precision import reciprocal_sum


@pytest.mark.parametrize("before", [0, 1, 7, 254, 255, 256, 257, 300, 5000])
@pytest.mark.parametrize("count", [0, 1, 2, 9, 256, 700])
def test_sum_of_reciprocals_equals_the_fractions(before: int, count: int) -> None:
    exact = sum((Fraction(1, before + i) for i in range(1, count + 1)), Fraction(0))
    result = reciprocal_sum(torch.tensor(before), torch.tensor(count))
    assert float(result) == pytest.approx(float(exact), rel=2e-14, abs=1e-18)


def test_far_down_a_ranking_no_digit_is_lost() -> None:
    before = 10_000_000
    exact = sum((Fraction(1, before + i) for i in range(1, 4)), Fraction(0))
    result = reciprocal_sum(torch.tensor(before), torch.tensor(3))
    assert float(result) == pytest.approx(float(exact), rel=1e-15)
