import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from aach_lightning.config.split import SizesConfig
from aach_lightning.data.rules import per_label_split, permutation_split, positional_split
from aach_lightning.data.splits import Split
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.seeding import numpy_generator


def parts(split: Split) -> tuple[list[int], list[int], list[int]]:
    return split.query.tolist(), split.train.tolist(), split.database.tolist()


def test_positional() -> None:
    assert parts(positional_split(9, 2, 3)) == ([0, 1], [2, 3, 4], [2, 3, 4, 5, 6, 7, 8])


@pytest.mark.parametrize("rule", [positional_split, lambda *sizes: permutation_split(*sizes, 1)])
@pytest.mark.parametrize(("query", "train"), [(0, 5), (5, 0), (6, 5)])
def test_parts_that_do_not_fit(rule: object, query: int, train: int) -> None:
    with pytest.raises(ConfigError, match=f"split.query={query} and split.train={train} do not fit into 10 pairs"):
        rule(10, query, train)  # type: ignore[operator]


# ---- numpy's legacy permutation ----


def mersenne_twister(seed: int) -> Iterator[int]:
    """32-bit numbers of MT19937, started as Matsumoto and Nishimura's init_genrand does; Python has the generator."""
    state = [seed]
    for place in range(1, 624):
        state.append((1812433253 * (state[-1] ^ (state[-1] >> 30)) + place) % 2**32)
    generator = random.Random()
    generator.setstate((3, (*state, 624), None))
    while True:
        yield generator.getrandbits(32)


def fisher_yates(count: int, seed: int) -> list[int]:
    """From the end, each place exchanged with one before it or itself; numbers too large are drawn again."""
    rows, numbers = list(range(count)), mersenne_twister(seed)
    for place in range(count - 1, 0, -1):
        mask = 2 ** place.bit_length() - 1
        other = next(number & mask for number in numbers if number & mask <= place)
        rows[place], rows[other] = rows[other], rows[place]
    return rows


@pytest.mark.parametrize(("count", "seed"), [(10, 1), (1000, 1), (1000, 1814), (4097, 2**32 - 1), (20015, 1)])
def test_permutation_against_its_algorithm(count: int, seed: int) -> None:
    order = fisher_yates(count, seed)
    assert parts(permutation_split(count, 2, 5, seed)) == (order[:2], order[2:7], order[2:])


@pytest.mark.parametrize("seed", [1, 1814])
def test_permutation_against_what_the_published_code_calls(seed: int) -> None:
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed=seed)  # noqa: NPY002
    order = np.random.permutation(range(500))  # noqa: NPY002
    np.random.set_state(before)  # noqa: NPY002
    split = permutation_split(500, 20, 100, seed)
    assert np.array_equal(np.concatenate([split.query, split.database]), order)
    assert np.array_equal(split.train, order[20:120])
    assert split.query.dtype == np.int64


def test_permutation_leaves_the_global_generator_alone() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index] # noqa: NPY002
    permutation_split(100, 2, 3, 7)
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index] # noqa: NPY002


# ---- so many of each label ----


def naive_per_label(
    labels: NDArray[np.uint8], sizes: SizesConfig, seed: int
) -> tuple[list[int], list[int], list[int]] | None:
    """Label by label with lists and loops; None where a label has too few pairs."""
    generator = numpy_generator(seed, "per label")
    query: list[int] = []
    train: list[int] = []
    for column in range(labels.shape[1]):
        wanted = [sizes.query, sizes.train]
        if column == 0:
            wanted = [sizes.first_query or sizes.query, sizes.first_train or sizes.train]
        free = [row for row in range(len(labels)) if labels[row, column] and row not in query and row not in train]
        order = [int(row) for row in generator.permutation(free)]
        if len(order) < wanted[0] or (sizes.fill_train is None and len(order) < sum(wanted)):
            return None
        query += order[: wanted[0]]
        train += order[wanted[0] : sum(wanted)]
    database = [row for row in range(len(labels)) if row not in query]
    others = [row for row in database if row not in train]
    if sizes.fill_train is not None and len(train) < sizes.fill_train:
        missing = sizes.fill_train - len(train)
        if missing > len(others):
            return None
        train += [int(row) for row in generator.permutation(others)][:missing]
    return query, train, database


SIZES = st.builds(
    SizesConfig,
    query=st.integers(1, 3),
    train=st.integers(1, 4),
    first_query=st.none() | st.integers(1, 4),
    first_train=st.none() | st.integers(1, 5),
    fill_train=st.none() | st.integers(1, 25),
)


@settings(max_examples=200, deadline=None)
@given(
    arrays(np.uint8, st.tuples(st.integers(10, 60), st.integers(1, 4)), elements=st.integers(0, 1)),
    SIZES,
    st.integers(0, 99),
)
def test_per_label_against_loops(labels: NDArray[np.uint8], sizes: SizesConfig, seed: int) -> None:
    names = [f"label {column}" for column in range(labels.shape[1])]
    expected = naive_per_label(labels, sizes, seed)
    if expected is None:
        with pytest.raises(ConfigError, match=r"label \d|cannot be filled up"):
            per_label_split(labels, names, sizes, seed)
    else:
        assert parts(per_label_split(labels, names, sizes, seed)) == expected


@given(arrays(np.uint8, st.tuples(st.just(80), st.integers(2, 4)), elements=st.integers(0, 1)), st.integers(0, 99))
def test_each_label_gives_its_share(labels: NDArray[np.uint8], seed: int) -> None:
    """Whatever the order, the queries of label j have label j, and are none that an earlier label could not spare."""
    assume((labels.sum(0) >= 4 * 7).all())  # enough, even where all labels fall on the same rows
    split = per_label_split(labels, "abcd"[: labels.shape[1]], SizesConfig(query=2, train=5), seed)
    for column in range(labels.shape[1]):
        assert labels[split.query[2 * column : 2 * column + 2], column].all()
        assert labels[split.train[5 * column : 5 * column + 5], column].all()
    assert len(split.query) == 2 * labels.shape[1]
    assert len(split.train) == 5 * labels.shape[1]


def test_other_seeds_give_other_rows() -> None:
    labels = (np.random.default_rng(0).random((300, 3)) < 0.5).astype(np.uint8)
    sizes = SizesConfig(query=5, train=10, fill_train=60)
    found = {seed: per_label_split(labels, "abc", sizes, seed).fingerprint for seed in range(5)}
    assert len(set(found.values())) == 5
    assert found[3] == per_label_split(labels, "abc", sizes, 3).fingerprint
    assert permutation_split(100, 5, 10, 1).fingerprint != permutation_split(100, 5, 10, 2).fingerprint


def test_a_label_with_too_few_pairs_is_named() -> None:
    labels = np.array([[1, 0]] * 20 + [[0, 1]] * 4, np.uint8)
    with pytest.raises(ConfigError, match=r"split\.query=3 and split\.train=2 of each label: label dog has 4 pairs"):
        per_label_split(labels, ["cat", "dog"], SizesConfig(query=3, train=2), 0)
