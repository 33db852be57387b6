import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from aach_lightning.runtime.seeding import derive_seed, numpy_generator, torch_generator

NAMES = st.lists(st.text("abc1", max_size=2) | st.integers(0, 20), max_size=3)


@given(st.integers(), NAMES)
def test_seeds_fit_into_63_bits(seed: int, names: list[str | int]) -> None:
    assert 0 <= derive_seed(seed, *names) < 2**63


@given(st.integers(0, 20), NAMES, st.integers(0, 20), NAMES)
def test_seeds_differ_where_seed_or_purpose_differ(
    seed: int, names: list[str | int], other_seed: int, others: list[str | int]
) -> None:
    same = (str(seed), *map(str, names)) == (str(other_seed), *map(str, others))
    assert (derive_seed(seed, *names) == derive_seed(other_seed, *others)) == same


def test_seed_is_fixed_across_versions() -> None:
    # from `printf '7\x1fmining\x1f3' | b2sum -l 64`, little-endian, shifted right by one
    assert derive_seed(7, "mining", 3) == int.from_bytes(bytes.fromhex("1d2c5a785d6ab45f"), "little") >> 1


def test_generators_repeat_and_leave_the_global_ones_alone() -> None:
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first = torch.rand(8, generator=torch_generator(1, "a"))
    assert torch.equal(first, torch.rand(8, generator=torch_generator(1, "a")))
    assert not torch.equal(first, torch.rand(8, generator=torch_generator(1, "b")))
    assert torch.equal(state, torch.random.get_rng_state())
    numbers = numpy_generator(1, "a").random(8)
    np.testing.assert_array_equal(numbers, numpy_generator(1, "a").random(8))
    assert not np.array_equal(numbers, numpy_generator(2, "a").random(8))
