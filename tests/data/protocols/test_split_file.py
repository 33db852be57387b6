import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.io import savemat

from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split, make_split
from aach_lightning.errors import AachError, ConfigError, DataError
from aach_lightning.readers.containers.roles import read_part_key
from aach_lightning.readers.split_files.split_file import load_split

COUNT = 40
QUERY, TRAIN = [3, 0, 39, 17], [12, 5, 30]
DATABASE = [row for row in range(COUNT) if row not in QUERY]
Parts = dict[str, list[Any]]
WHOLE: Parts = {"query": QUERY, "train": TRAIN, "database": DATABASE}


def load(path: Path, pairs: Pairs, **changes: Any) -> Split:
    return load_split(path, pairs, **{"first_row": None, "train": 6, "seed": 0, **changes})


def assert_whole(split: Split) -> None:
    assert sorted(split.query.tolist()) == sorted(QUERY)
    assert split.train.tolist() == TRAIN
    assert split.database.tolist() == DATABASE
    assert {part.dtype for part in (split.query, split.train, split.database)} == {np.dtype(np.int64)}


def shifted(parts: Parts, first: int) -> Parts:
    return {key: [row + first for row in rows] for key, rows in parts.items()}


# ---- writers: one a format ----


def write_json(path: Path, parts: Parts) -> Path:
    path = path.with_suffix(".json")
    path.write_text(json.dumps(parts))
    return path


def write_nested_json(path: Path, parts: Parts) -> Path:
    return write_json(path, {"seed": 3, "split": parts})  # type: ignore[dict-item]


def write_npz(path: Path, parts: Parts) -> Path:
    path = path.with_suffix(".npz")
    np.savez_compressed(path, **{key: np.array(rows) for key, rows in parts.items()})
    return path


def write_npy_folder(path: Path, parts: Parts) -> Path:
    path.mkdir()
    (path / "readme.txt").write_text("not a part")
    for key, rows in parts.items():
        np.save(path / f"{key}.npy", np.array(rows))
    return path


def write_text_folder(path: Path, parts: Parts) -> Path:
    path.mkdir()
    for key, rows in parts.items():
        (path / f"{key}.txt").write_text("".join(f"{row}\n" for row in rows) + "\n")
    return path


def write_mat(path: Path, parts: Parts) -> Path:
    path = path.with_suffix(".mat")
    arrays = {key: np.array(rows, dtype=object if isinstance(rows[0], str) else float) for key, rows in parts.items()}
    savemat(path, {**arrays, "LAll": np.eye(3)})
    return path


def write_mat_struct(path: Path, parts: Parts) -> Path:
    path = path.with_suffix(".mat")
    fields = {
        key: np.array(rows, dtype=object if isinstance(rows[0], str) else np.uint32)[:, None]
        for key, rows in parts.items()
    }
    savemat(path, {"param": {**fields, "seed": 3.0}, "YAll": np.eye(3)}, do_compression=True)
    return path


def write_v73_struct(path: Path, parts: Parts) -> Path:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    path = path.with_suffix(".mat")
    with h5py.File(path, "w", userblock_size=512) as file:
        group, hidden = file.create_group("param"), file.create_group("#refs#")
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        file.create_dataset("LAll", data=np.eye(3))
        for key, rows in parts.items():
            if isinstance(rows[0], str):
                cells = np.empty((1, len(rows)), dtype=h5py.ref_dtype)
                for number, name in enumerate(rows):
                    letters = np.frombuffer(name.encode("utf-16-le"), "<u2").reshape(-1, 1)
                    cell = hidden.create_dataset(f"{key}{number}", data=letters)
                    cell.attrs["MATLAB_class"] = np.bytes_("char")
                    cells[0, number] = cell.ref
                data = group.create_dataset(key, data=cells, dtype=h5py.ref_dtype)
                data.attrs["MATLAB_class"] = np.bytes_("cell")
            else:
                group.create_dataset(key, data=np.array(rows, float)[None]).attrs["MATLAB_class"] = np.bytes_("double")
    return path


def write_hdf5(path: Path, parts: Parts) -> Path:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    path = path.with_suffix(".h5")
    with h5py.File(path, "w") as file:
        for key, rows in parts.items():
            file[key] = rows
    return path


def write_table(path: Path, parts: Parts) -> Path:
    """A CSV with a header; a train pair is not listed a second time for the database."""
    path = path.with_suffix(".csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split"])
        trained = [row for key, rows in parts.items() if read_part_key(key) == "train" for row in rows]
        for key, rows in parts.items():
            part = read_part_key(key)
            writer.writerows([row, key] for row in rows if part != "database" or row not in trained)
    return path


WRITERS = [
    *(write_json, write_nested_json, write_npz, write_npy_folder, write_text_folder, write_mat, write_mat_struct),
    *(write_v73_struct, write_hdf5, write_table),
]
KEYS = [  # as people call them
    ("query", "train", "database"),
    ("test", "train", "retrieval"),
    ("indexQuery", "indexTrain", "indexDatabase"),
    ("test_idx", "train_idx", "db_idx"),
    ("idx_te", "idx_tr", "idx_db"),
    ("testset", "trainset", "gallery"),
    ("query_list", "training_ids", "retrieval_index"),
    ("mir.query", "query.train", "database.ids"),
]


@pytest.fixture
def pairs(bare_pairs: Any) -> Pairs:
    found: Pairs = bare_pairs(COUNT)
    return found


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("write", WRITERS)
def test_row_numbers_in_every_format(tmp_path: Path, pairs: Pairs, write: Any, first: int) -> None:
    """Row 39, the last, is a query: counted from 1 it is row 40, which tells."""
    split = load(write(tmp_path / "file", shifted(WHOLE, first)), pairs)
    if write is write_table:
        assert sorted(split.database.tolist()) == DATABASE
        split = Split(split.query, split.train, np.sort(split.database))
    assert_whole(split)


@pytest.mark.parametrize(
    "name", [lambda name: name, lambda name: f"mirflickr/{name}.jpg", lambda n: f"C:\\x\\{n}.JPEG"]
)
@pytest.mark.parametrize("write", WRITERS)
def test_names_in_every_format(tmp_path: Path, pairs: Pairs, write: Any, name: Callable[[str], str]) -> None:
    named = {key: [name(pairs.names[row]) for row in rows] for key, rows in WHOLE.items()}
    split = load(write(tmp_path / "file", named), pairs)
    assert_whole(Split(split.query, split.train, np.sort(split.database)))


@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("write", [write_json, write_npz, write_npy_folder, write_mat_struct])
def test_words_that_people_use(tmp_path: Path, pairs: Pairs, write: Any, keys: tuple[str, ...]) -> None:
    assert_whole(load(write(tmp_path / "file", dict(zip(keys, WHOLE.values(), strict=True))), pairs))


@pytest.mark.parametrize(
    "key", ["labels", "I_te", "testL", "YDatabase", "LAll", "index", "", "42", "train_test", "validation", "seed"]
)
def test_words_that_mean_no_part(key: str) -> None:
    assert read_part_key(key) is None


def test_a_split_of_an_earlier_run(tmp_path: Path, pairs: Pairs) -> None:
    saved = make_split(COUNT, 4, 9, 7)
    saved.save(tmp_path / "split.json")
    assert load(tmp_path / "split.json", pairs).fingerprint == saved.fingerprint  # the order of the queries too
    content = json.loads((tmp_path / "split.json").read_text())
    content["query"] = content["query"][::-1]
    (tmp_path / "split.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="does not match its own hash"):
        load(tmp_path / "split.json", pairs)
    make_split(COUNT + 1, 4, 37, 7).save(tmp_path / "split.json")
    with pytest.raises(DataError, match=r"split\.json: \w+ part: 1 of \d+ rows are not in these data, for example 40"):
        load(tmp_path / "split.json", pairs)


def test_queries_are_mixed_by_the_seed(tmp_path: Path, bare_pairs: Any) -> None:
    """The first of them are attacked, and files often list them by label."""
    path = write_json(tmp_path / "file", {"query": list(range(30)), "db": list(range(30, 60))})
    found = [load(path, bare_pairs(60), seed=seed).query.tolist() for seed in (0, 0, 1)]
    assert found[0] == found[1]
    assert len({tuple(query) for query in (*found, list(range(30)))}) == 3
    assert all(sorted(query) == list(range(30)) for query in found)


def test_image_lists_with_labels_behind_the_names(tmp_path: Path, pairs: Pairs) -> None:
    for key, rows in WHOLE.items():
        lines = [f"images/{pairs.names[row]}.jpg 0 1 {row % 2}\n" for row in rows]
        (tmp_path / f"{key}.txt").write_text("".join(lines))
    assert_whole(load(tmp_path, pairs))


def test_rows_on_one_line_and_as_numpy_writes_them(tmp_path: Path, pairs: Pairs) -> None:
    (tmp_path / "query.txt").write_text("3, 0, 39 ,17\n")
    np.savetxt(tmp_path / "train.txt", TRAIN)
    (tmp_path / "database.txt").write_text(" ".join(map(str, DATABASE)))
    assert_whole(load(tmp_path, pairs))


def test_a_table_without_header_and_delimiter(tmp_path: Path, pairs: Pairs) -> None:
    (tmp_path / "split.txt").write_text("im4 test\nim1 test\n\nim6  train\nim9 retrieval\nim6 retrieval\n")
    split = load(tmp_path / "split.txt", pairs)
    assert (sorted(split.query), split.train.tolist(), split.database.tolist()) == ([0, 3], [5], [8, 5])


def test_names_win_over_row_numbers(tmp_path: Path, bare_pairs: Any) -> None:
    """Identifiers that are numbers, but not those of the rows."""
    pairs = bare_pairs(COUNT, names=tuple(str(1000 - row) for row in range(COUNT)))
    named = {key: [pairs.names[row] for row in rows] for key, rows in WHOLE.items()}
    assert_whole(load(write_text_folder(tmp_path / "names", named), pairs))
    assert_whole(load(write_text_folder(tmp_path / "rows", WHOLE), pairs))  # none of them is a name


def test_names_of_nuswide(tmp_path: Path, bare_pairs: Any) -> None:
    """To Python, 0001_2124494179 is a number."""
    pairs = bare_pairs(COUNT, names=tuple(f"actor/{row:04}_{2124494179 + row}" for row in range(COUNT)))
    for name in (lambda row: pairs.names[row], lambda row: pairs.names[row].removeprefix("actor/")):
        named = {key: [name(row) for row in rows] for key, rows in WHOLE.items()}
        for number, write in enumerate((write_json, write_text_folder, write_mat)):
            assert_whole(load(write(tmp_path / f"{number} {named['train'][0][:2]}", named), pairs))


def test_row_numbers_of_a_pack_without_names(tmp_path: Path, bare_pairs: Any) -> None:
    pairs = bare_pairs(COUNT, names=tuple(map(str, range(COUNT))))
    assert_whole(load(write_text_folder(tmp_path / "file", shifted(WHOLE, 1)), pairs))
    with pytest.raises(DataError, match="query: names such as 'im1', but these data have none"):
        load(write_json(tmp_path / "x", {"query": ["im1"]}), pairs)


# ---- parts that are missing ----


def test_missing_parts(tmp_path: Path, pairs: Pairs, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        split = load(write_json(tmp_path / "a", {"test": QUERY}), pairs)
    assert "has no train part: 6 pairs of its database were drawn by split.seed" in caplog.text
    assert "has no database part: all but the queries are searched" in caplog.text
    assert split.database.tolist() == DATABASE
    assert len(set(split.train.tolist())) == 6
    assert set(split.train.tolist()) <= set(DATABASE)
    again = load(tmp_path / "a.json", pairs, seed=1)
    assert again.train.tolist() != split.train.tolist()
    assert len(load(tmp_path / "a.json", pairs, train=None).train) == len(DATABASE)
    split = load(write_json(tmp_path / "b", {"test": QUERY, "train": TRAIN}), pairs)
    assert_whole(split)
    split = load(write_json(tmp_path / "c", {"query": QUERY, "db": [12, 5, 30]}), pairs)
    assert sorted(split.train.tolist()) == sorted(split.database.tolist()) == [5, 12, 30]


# ---- counted from 0 or 1 ----


INNER = {"query": [3, 8, 17], "train": [12, 5, 30]}


def test_where_counting_starts_must_be_said_if_it_cannot_be_told(tmp_path: Path, pairs: Pairs) -> None:
    path = write_mat(tmp_path / "file", INNER)
    with pytest.raises(ConfigError, match=r"rows run from 3 to 30 of 40 pairs.*split\.first_row=0.*split\.first_row=1"):
        load(path, pairs)
    assert load(path, pairs, first_row=0).train.tolist() == [12, 5, 30]
    assert load(path, pairs, first_row=1).train.tolist() == [11, 4, 29]


@pytest.mark.parametrize(
    ("query", "first_row", "said"),
    [
        (
            [0, 40],
            None,
            r"rows run from 0 to 40 \(see the query part\); these data have 40 pairs: allowed are 0 to 39, or 1",
        ),
        ([5, 41], None, "rows run from 5 to 41"),
        ([-1, 3], None, "rows run from -1 to 30"),
        ([40, 3], 0, r"query part: 1 of 2 rows are not in these data, for example 40; allowed are 0 to 39"),
        ([0, 3], 1, r"query part: 1 of 2 rows are not in these data, for example 0; allowed are 1 to 40"),
    ],
)
def test_rows_out_of_range(tmp_path: Path, pairs: Pairs, query: list[int], first_row: int | None, said: str) -> None:
    path = write_json(tmp_path / "file", {"query": query, "train": [12, 5, 30]})
    with pytest.raises(DataError, match=said) as caught:
        load(path, pairs, first_row=first_row)
    assert str(path) in str(caught.value)


# ---- what is refused ----


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"query": [0, 5, 0], "train": [3]}, r"query: im1 \(row 0 from 0\) stands there twice"),
        ({"query": [0], "train": [3, 9, 3]}, "train: im4 .* stands there twice"),
        ({"query": [0, 1], "train": [3], "database": [1, 3]}, "query and database share 1 rows, for example row 1"),
        ({"query": [0, 1], "train": [1], "database": [3]}, "1 train rows are not in the database"),
        ({"query": [0, 1], "train": [1]}, "1 train rows are not in the database, for example row 1"),
        ({"train": [0], "database": [0, 1]}, "no query part among the keys found: train, database"),
        ({}, "no query part among the keys found: none"),
        ({"query": [0], "test": [1]}, "the keys query and test both stand for the query part"),
        ({"query": [0], "a": {"train": [1]}, "b": {"train": [2]}}, r"the keys a\.train and b\.train both stand"),
        ({"query": []}, "query: is empty"),
        ({"query": [0.5, 1]}, "entry 0 .* is 0.5, not a row number"),
        ({"query": [0, float("nan")]}, "entry 1 .* is nan, not a row number"),
        ({"query": [0, 1e300]}, "entry 1 .* is 1e.300, not a row number"),
        ({"query": [0, 10**30]}, "query: Python int too large"),
        ({"query": [0, True]}, "query: holds bool, int; needed is a list of row numbers or of names"),
        ({"query": [0, "im2"]}, "query: holds int, str"),
        ({"query": [0, None]}, "query: holds NoneType, int"),
        ({"query": [[0], [1]]}, "query: holds list"),
        ({"query": None}, "query: holds NoneType"),
        (
            {"query": ["im1", "im99"], "train": ["im2"]},
            "query: 1 of 2 names are not in these data, for example 'im99'; ",
        ),
        ({"query": list(range(41))}, r"query: shape \(41,\); needed is one list"),
    ],
)
def test_wrong_json(tmp_path: Path, pairs: Pairs, parts: Any, said: str) -> None:
    path = write_json(tmp_path / "file", parts)
    with pytest.raises(DataError, match=said) as caught:
        load(path, pairs)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[1, 2]", '{"query": [0]', "[" * 100_000, '{"a":' * 100_000])
def test_broken_json(tmp_path: Path, pairs: Pairs, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match=str(tmp_path / "x.json")):
        load(tmp_path / "x.json", pairs)


def test_matrices_are_no_lists(tmp_path: Path, pairs: Pairs) -> None:
    np.savez(tmp_path / "x.npz", query=np.zeros((3, 4), int))
    with pytest.raises(DataError, match=r"query: shape \(3, 4\); needed is one list of rows or names, at most 40"):
        load(tmp_path / "x.npz", pairs)
    np.savez(tmp_path / "x.npz", query=np.array([1 + 2j]))
    with pytest.raises(DataError, match="query: holds complex128"):
        load(tmp_path / "x.npz", pairs)


@pytest.mark.parametrize("packed", [True, False])
def test_pickled_objects_are_refused(tmp_path: Path, pairs: Pairs, packed: bool) -> None:
    objects = np.array([{"a": 1}, None], dtype=object)
    if packed:
        np.savez(tmp_path / "x.npz", query=objects, allow_pickle=True)
    else:
        np.save(tmp_path / "query.npy", objects, allow_pickle=True)
    with pytest.raises(DataError, match="refused: it holds pickled objects, which could run code"):
        load(tmp_path / "x.npz" if packed else tmp_path, pairs)


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("write", [write_npz, write_mat, write_mat_struct, write_v73_struct, write_json])
def test_truncated_files(tmp_path: Path, pairs: Pairs, write: Any, kept: float) -> None:
    path = write(tmp_path / "file", WHOLE)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(DataError, match=str(path)):
        load(path, pairs)


def test_a_truncated_list(tmp_path: Path, pairs: Pairs) -> None:
    path = write_npy_folder(tmp_path / "file", WHOLE)
    (path / "train.npy").write_bytes((path / "train.npy").read_bytes()[:-4])
    with pytest.raises(DataError, match=str(path / "train.npy")):
        load(path, pairs)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id,split\nim1,query\nim2,quary\n", r"entry 3, 'im2 quary': its last column must be a part"),
        (b"im1,quary\nim2,query\n", "entry 1, 'im1 quary'"),
        (b"im1\nim2\n", "entry 1, 'im1'"),
        (b'im1,"query\n', "unexpected end of data"),
        (b"", "no query part among the keys found: none"),
        (b"\xff\xfe\x00\x01", "neither JSON, .npz, .npy, MATLAB 5, HDF5"),
    ],
)
def test_wrong_tables(tmp_path: Path, pairs: Pairs, content: bytes, said: str) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        load(tmp_path / "x.csv", pairs)
    assert str(tmp_path / "x.csv") in str(caught.value)


def test_too_large_files(tmp_path: Path, pairs: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aach_lightning.readers.split_files.formats.MAX_BYTES", 100)
    for write in (write_json, write_npz, write_table, write_text_folder):
        with pytest.raises(DataError, match="more than 100"):
            load(write(tmp_path / write.__name__, {"query": [f"im{row}" for row in range(1, 30)]}), pairs)


def test_a_folder_without_parts_and_a_missing_file(tmp_path: Path, pairs: Pairs) -> None:
    with pytest.raises(DataError, match="file there is called after a part"):
        load(tmp_path, pairs)
    with pytest.raises(DataError, match="No such file"):
        load(tmp_path / "absent", pairs)


def test_names_that_several_pairs_have(tmp_path: Path, bare_pairs: Any) -> None:
    names = ("a/1.jpg", "b/1.jpg", "b/2.jpg", "b/2.jpg", *(f"c/{row}" for row in range(4, COUNT)))
    pairs = bare_pairs(COUNT, names=names)
    assert load(write_json(tmp_path / "x", {"query": ["a/1.jpg"]}), pairs).query.tolist() == [0]
    for name in ("1.jpg", "b/2.jpg"):
        with pytest.raises(DataError, match=f"query: the name '{name}' stands for several pairs"):
            load(write_json(tmp_path / "x", {"query": [name]}), pairs)


def test_pairs_that_were_left_out(tmp_path: Path, bare_pairs: Any, caplog: pytest.LogCaptureFixture) -> None:
    pairs = bare_pairs(COUNT, skipped=1)
    with pytest.raises(ConfigError, match="holds row numbers, but 1 pairs with damaged images were left out of bare"):
        load(write_json(tmp_path / "x", WHOLE), pairs)
    path = write_json(tmp_path / "x", {"query": ["im1", "im2", "im99"], "train": ["im5"]})
    split = load(path, pairs)
    assert "left out im99, taken for pairs with a damaged image" in caplog.text
    assert (sorted(split.query.tolist()), len(split.database)) == ([0, 1], 38)
    with pytest.raises(DataError, match="2 of 3 names are not in these data"):
        load(write_json(tmp_path / "x", {"query": ["im1", "im98", "im99"]}), pairs)
    saved = make_split(COUNT, 4, 9, 7)  # of a run that left out the same pair
    saved.save(tmp_path / "split.json")
    assert load(tmp_path / "split.json", pairs).fingerprint == saved.fingerprint


# ---- anything at all ----


LEAF = st.none() | st.booleans() | st.integers(-3, 45) | st.floats() | st.text(max_size=4) | st.just("im3")
JSON = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.sampled_from(["query", "train", "db", "x", "hash", "test", "database"]), inner, max_size=4)
    ),
    max_leaves=20,
)
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check_clear_error_or_split(path: Path, pairs: Pairs) -> None:
    try:
        split = load(path, pairs)
    except AachError as error:
        assert str(path) in str(error)  # noqa: PT017 - either is right
    else:
        every = np.concatenate([split.query, split.database])
        assert len(split.query)
        assert ((every >= 0) & (every < len(pairs))).all()


@FUZZ
@given(JSON)
def test_any_json(tmp_path: Path, pairs: Pairs, content: Any) -> None:
    (tmp_path / "x.json").write_text(json.dumps(content))
    check_clear_error_or_split(tmp_path / "x.json", pairs)


@FUZZ
@given(st.binary(max_size=200) | st.text("qtd01,;\t\n {}[]\"'im.", max_size=60).map(str.encode))
def test_any_bytes(tmp_path: Path, pairs: Pairs, content: bytes) -> None:
    for name in ("x", "folder/query.txt", "folder/query.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    check_clear_error_or_split(tmp_path / "x", pairs)
    check_clear_error_or_split(tmp_path / "folder", pairs)


@FUZZ
@given(st.integers(0, 10**6), st.integers(0, 7))
def test_any_damaged_npz(tmp_path: Path, pairs: Pairs, place: int, bit: int) -> None:
    path = write_npz(tmp_path / "file", WHOLE)
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)
    check_clear_error_or_split(path, pairs)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_split_in_any_form_comes_back(tmp_path_factory: pytest.TempPathFactory, bare_pairs: Any, data: Any) -> None:
    """Random parts, format, names of keys, and rows from 0, from 1 or names; against the parts themselves."""
    count = data.draw(st.integers(4, 30))
    order: NDArray[np.int64] = np.array(data.draw(st.permutations(range(count))))
    query = data.draw(st.integers(1, count - 2))
    train = data.draw(st.integers(1, count - query))
    parts = [order[:query], order[query : query + train], order[query:]]
    keys = data.draw(st.sampled_from(KEYS))
    write = data.draw(st.sampled_from(WRITERS))
    kind = data.draw(st.sampled_from([0, 1, "names"]))
    pairs = bare_pairs(count)
    if kind == "names":
        content = {key: [pairs.names[row] for row in rows] for key, rows in zip(keys, parts, strict=True)}
    else:
        content = {key: (rows + kind).tolist() for key, rows in zip(keys, parts, strict=True)}
    split = load(write(tmp_path_factory.mktemp("any") / "file", content), pairs, first_row=data.draw(st.none()))
    assert [sorted(part.tolist()) for part in (split.query, split.train, split.database)] == [
        sorted(part.tolist()) for part in parts
    ]
