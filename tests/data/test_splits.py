import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aach_lightning.data.splits import Split, budget_order, make_split
from aach_lightning.errors import ConfigError, DataError

SIZES = st.tuples(st.integers(1, 20), st.integers(1, 30), st.integers(0, 50))  # query, train, further pairs


@given(SIZES, st.integers(0, 2**40))
def test_parts_follow_the_protocol(sizes: tuple[int, int, int], seed: int) -> None:
    query, train, further = sizes
    count = query + train + further
    split = make_split(count, query, train, seed)
    queries, trained, searched = (set(part.tolist()) for part in (split.query, split.train, split.database))
    assert (len(split.query), len(split.train), len(split.database)) == (query, train, count - query)
    assert not queries & searched
    assert trained <= searched
    assert queries | searched == set(range(count))


@given(SIZES, st.integers(0, 99), st.integers(0, 99))
def test_budgets_are_nested(sizes: tuple[int, int, int], seed: int, attacker: int) -> None:
    query, train, further = sizes
    split = make_split(query + train + further, query, train, seed)
    order = budget_order(split, attacker).tolist()
    assert sorted(order) == sorted(split.train.tolist())
    assert order == budget_order(split, attacker).tolist()
    budgets = [set(order[:pairs]) for pairs in range(train + 1)]
    assert all(smaller < larger for smaller, larger in pairwise(budgets))


def test_seeds_of_split_and_attacker_matter() -> None:
    split = make_split(100, 20, 50, 1)
    assert split.fingerprint == make_split(100, 20, 50, 1).fingerprint
    assert len({make_split(100, 20, 50, seed).fingerprint for seed in range(5)}) == 5
    assert len({tuple(budget_order(split, seed)) for seed in range(5)}) == 5
    assert sorted(split.query) != split.query.tolist()  # shuffled


def test_more_train_rows_keep_the_queries() -> None:
    small, large = make_split(100, 20, 30, 1), make_split(100, 20, 60, 1)
    np.testing.assert_array_equal(small.query, large.query)
    np.testing.assert_array_equal(small.train, large.train[:30])


@pytest.mark.parametrize(("query", "train"), [(0, 5), (5, 0), (-1, 5), (6, 5), (11, 1)])
def test_parts_that_do_not_fit(query: int, train: int) -> None:
    with pytest.raises(ConfigError, match=f"split.query={query} and split.train={train} do not fit into 10 pairs"):
        make_split(10, query, train, 0)


def rows(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize(
    ("query", "train", "database", "said"),
    [
        (rows(0, 0), rows(1), rows(1, 2), "query part names a row twice"),
        (rows(0), rows(1, 1), rows(1, 2), "train part names a row twice"),
        (rows(0), rows(1), rows(1, 1), "database part names a row twice"),
        (rows(0, 2), rows(1), rows(1, 2), "share 1 rows, for example row 2"),
        (rows(0), rows(1, 3), rows(1, 2), "1 train rows are not in the database, for example row 3"),
    ],
)
def test_wrong_parts_are_refused(query: np.ndarray, train: np.ndarray, database: np.ndarray, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Split(query, train, database)


def test_rows_that_were_left_out() -> None:
    split = Split(rows(5, 1), rows(4, 0, 2), rows(0, 2, 3, 4)).among(rows(0, 1, 2, 4))  # 3 and 5 are gone
    assert (split.query.tolist(), split.train.tolist(), split.database.tolist()) == ([1], [3, 0, 2], [0, 2, 3])


def test_saved_split_comes_back(tmp_path: Path) -> None:
    split, path = make_split(40, 5, 20, 3), tmp_path / "split.json"
    split.save(path)
    found = Split.load(path)
    for name in ("query", "train", "database"):
        np.testing.assert_array_equal(getattr(found, name), getattr(split, name))
        assert getattr(found, name).dtype == np.int64
    assert found.fingerprint == split.fingerprint == json.loads(path.read_text())["hash"]


@settings(max_examples=30)
@given(st.sampled_from(["query", "train", "database"]), st.data())
def test_fingerprint_depends_on_order_and_part(part: str, data: st.DataObject) -> None:
    split = make_split(12, 4, 4, 0)
    parts = {name: getattr(split, name) for name in ("query", "train", "database")}
    mixed = data.draw(st.permutations(parts[part].tolist()))
    changed = Split(**{**parts, part: rows(*mixed)})
    assert (changed.fingerprint == split.fingerprint) == (mixed == parts[part].tolist())


def test_rows_moved_across_the_border_of_two_parts_change_the_fingerprint() -> None:
    assert Split(rows(0), rows(1, 2), rows(1, 2)).fingerprint != Split(rows(0), rows(1), rows(2, 1)).fingerprint
    assert Split(rows(0, 1), rows(2), rows(2)).fingerprint != Split(rows(0), rows(2), rows(2, 1)).fingerprint


@pytest.mark.parametrize("part", ["query", "train", "database"])
def test_tampered_split_is_refused(tmp_path: Path, part: str) -> None:
    path = tmp_path / "split.json"
    make_split(40, 5, 20, 3).save(path)
    content = json.loads(path.read_text())
    content[part] = content[part][::-1]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="does not match its own hash") as caught:
        Split.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{",
        "[]",
        "3",
        "{}",
        '{"query": [0], "train": [1], "database": [1]}',
        '{"query": "x", "train": [1], "database": [1], "hash": ""}',
        '{"query": [100000000000000000000], "train": [1], "database": [1], "hash": ""}',
        '{"query": [null], "train": [1], "database": [1], "hash": ""}',
        '{"query": [[0], [1, 2]], "train": [1], "database": [1], "hash": ""}',
    ],
)
def test_unreadable_split_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "split.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=str(path)):
        Split.load(path)
