"""Foreign files are read right, and a damaged one ends the child process alone."""

import io
import random
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.sparse import csc_array

from aach_lightning.errors import CheckpointError, DataError
from aach_lightning.readers.foreign import guard
from aach_lightning.readers.foreign.checks import file_kind
from aach_lightning.readers.foreign.guard import ForeignVariable, foreign_variables
from aach_lightning.zoo.matconvnet import read_matconvnet

CELL, STRUCT, CHAR, SPARSE, DOUBLE, FUNCTION = 1, 2, 4, 5, 6, 16
INT8, UINT16, INT32, UINT32, FLOAT64, MATRIX, COMPRESSED, UTF8 = 1, 4, 5, 6, 9, 14, 15, 16
LOGICAL = 1 << 9


def element(kind: int, content: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", kind, len(content)) + content + bytes(-len(content) % 8)


def integers(*values: int, order: str = "<") -> bytes:
    return element(INT32, struct.pack(f"{order}{len(values)}i", *values), order)


def matrix(kind: int, shape: tuple[int, ...], *content: bytes, name: str = "x", order: str = "<") -> bytes:
    parts = [
        element(UINT32, struct.pack(f"{order}II", kind, 0), order),
        integers(*shape, order=order),
        element(INT8, name.encode(), order),
    ]
    return element(MATRIX, b"".join([*parts, *content]), order)


def doubles(*values: float) -> bytes:
    return element(FLOAT64, struct.pack(f"<{len(values)}d", *values))


def packed(content: bytes) -> bytes:
    return struct.pack("<II", COMPRESSED, len(content)) + content


def save(path: Path, *variables: bytes, order: str = "<") -> Path:
    head = b"MATLAB 5.0 MAT-file".ljust(124)
    path.write_bytes(head + (b"\x00\x01IM" if order == "<" else b"\x01\x00MI") + b"".join(variables))
    return path


def sparse(shape: tuple[int, int], rows: list[int], starts: list[int], values: int | None = None) -> bytes:
    content = [integers(*rows), integers(*starts), doubles(*[1.0] * (len(rows) if values is None else values))]
    return matrix(SPARSE, shape, *content)


def test_what_this_writer_makes_is_read(tmp_path: Path) -> None:
    """The other tests change one thing in such files."""
    names = b"ab".ljust(8, b"\0") + b"cd".ljust(8, b"\0")
    variables = [
        matrix(DOUBLE, (2, 3), doubles(1, 2, 3, 4, 5, 6), name="numbers"),
        matrix(CHAR, (1, 3), element(UTF8, b"dog"), name="word"),
        matrix(CELL, (1, 2), matrix(CHAR, (1, 1), element(UTF8, b"a"), name=""), element(MATRIX, b""), name="cells"),
        matrix(
            STRUCT,
            (1, 1),
            integers(8),
            element(INT8, names),
            matrix(DOUBLE, (1, 1), doubles(7), name=""),
            matrix(DOUBLE, (0, 0), doubles(), name=""),
            name="record",
        ),
        packed(zlib.compress(matrix(DOUBLE, (1, 1), doubles(9), name="packed"))),
    ]
    path = save(tmp_path / "x.mat", *variables, sparse((3, 2), [0, 2, 1], [0, 2, 3]))
    found = foreign_variables(path)
    assert {key: variable.shape for key, variable in found.items()} == {
        "numbers": (2, 3),
        "word": (1,),
        "cells": (1, 2),
        "packed": (1, 1),
        "x": (3, 2),
    }
    assert found["numbers"].whole().tolist() == [[1, 3, 5], [2, 4, 6]]
    assert found["numbers"].rows(1, 1, 3).tolist() == [[3, 4], [5, 6]]
    assert found["word"].strings() == ["dog"]
    assert found["cells"].strings() == ["a", ""]
    assert found["packed"].whole().tolist() == [[9]]
    assert found["x"].whole().tolist() == [[1, 0], [0, 1], [1, 0]]
    inside = foreign_variables(path, fields=True)
    assert set(inside) == {*found, "record.ab", "record.cd"}
    assert inside["record.ab"].whole().tolist() == [[7]]
    assert inside["record.cd"].shape == (0, 0)


@pytest.mark.parametrize(
    ("rows", "starts", "values"),
    [
        ([0, 3, 1], [0, 2, 3], 3),
        ([0, -1, 1], [0, 2, 3], 3),
        ([0, 2, 1], [0, 3, 2], 3),
        ([0, 2, 1], [0, 3, 0], 3),
        ([0, 2, 1], [0, 9, 0], 3),
        ([0, 2, 1], [0, 2, 9], 3),
        ([0, 2, 1], [0, -2, 3], 3),
        ([0, 2, 1], [0, 2, -3], 3),
        ([0, 2, 1], [1, 2, 3], 3),
        ([0, 2, 1], [], 3),
        ([0, 2, 1], [0, 2, 3], 2),
    ],
)
def test_wrong_indices_of_sparse_matrices(
    tmp_path: Path, rows: list[int], starts: list[int], values: int, write_v73: Any
) -> None:
    """3 x 2 with values in rows 0, 2 and 1, the first two of them in column 0."""
    path = save(tmp_path / "5.mat", sparse((3, 2), rows, starts, values))
    with pytest.raises(DataError, match=r"5\.mat"):
        foreign_variables(path)["x"].rows(0, 0, 3)
    right = csc_array((np.ones(3), np.array([0, 2, 1]), np.array([0, 2, 3])), shape=(3, 2))
    write_v73(tmp_path / "7.mat", {"x": right})
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "7.mat", "r+") as file:
        for key, content in (("ir", rows), ("jc", starts), ("data", [1.0] * values)):
            del file["x"][key]
            file["x"][key] = np.array(content, float if key == "data" else np.int64)
    with pytest.raises(DataError, match=r"7\.mat: x: cannot read it|7\.mat: damaged"):
        foreign_variables(tmp_path / "7.mat")["x"].rows(0, 0, 3)


def test_sparse_matrix_that_would_fill_the_memory(tmp_path: Path) -> None:
    path = save(tmp_path / "5.mat", sparse((2**30, 1), [0], [0, 1]))
    with pytest.raises(DataError, match="more than 536,870,912 entries"):
        foreign_variables(path)["x"].rows(0, 0, 3)


@pytest.mark.parametrize("order", ["<", ">"])
def test_letters_beyond_ascii(tmp_path: Path, order: str) -> None:
    """MATLAB writes characters as UTF-16."""
    text = "Café 東京"
    content = element(UINT16, text.encode("utf-16-le" if order == "<" else "utf-16-be"), order)
    path = save(tmp_path / "x.mat", matrix(CHAR, (1, len(text)), content, name="caption", order=order), order=order)
    assert foreign_variables(path)["caption"].strings() == [text]


def real_files() -> list[Path]:
    import scipy.io.matlab

    return sorted(
        path for path in Path(scipy.io.matlab.__file__).parent.glob("tests/data/*.mat") if file_kind(path) == "MATLAB 5"
    )


@pytest.mark.skipif(not real_files(), reason="scipy is installed without its test files")
def test_files_of_matlab_itself() -> None:
    """From MATLAB 6.1 to 8, big and little endian: everything that scipy can read and that is no object or function."""
    read = 0
    for path in real_files():
        if path.name.startswith(("bad_", "corrupted_", "malformed")):
            with pytest.raises(DataError):
                [read_all(variable) for variable in foreign_variables(path).values()]
            continue
        expected = loadmat(path)
        for key, variable in foreign_variables(path).items():
            wanted = expected[key]
            if variable.is_text:
                continue
            value = variable.whole()
            np.testing.assert_array_equal(value, wanted.toarray() if hasattr(wanted, "toarray") else wanted)
            assert value.dtype == wanted.dtype
            read += 1
    assert read >= 25


# ---- damaged files ----

WORDS = (0, 1, 2, 5, 8, 9, 14, 15, 16, 17, 20, 255, 0x7FFF, 0x10000, 0x40001, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def examples(compress: bool) -> bytes:
    caption = np.array([["a dog"], ["two cats"], ["é"]], dtype=object)
    layer = {"type": "conv", "name": "conv1", "weights": np.array([["filters", "biases"]], dtype=object)}
    content: dict[str, Any] = {
        "IAll": np.arange(36, dtype=np.uint8).reshape(3, 2, 2, 3),
        "TAll": csc_array(np.eye(3, 5)),
        "caption": caption,
        "layers": np.array([[layer]], dtype=object),
        "word": "hello",
        "c": np.array([1 + 2j, 3]),
    }
    file = io.BytesIO()
    savemat(file, content, do_compression=compress)
    return file.getvalue()


def changed(data: bytes, generator: random.Random, first: int) -> bytes:
    """Some bytes or 4-byte words of `data` from `first` on replaced, left out or repeated."""
    result = bytearray(data)
    for _ in range(generator.choice([1, 1, 2, 4])):
        place = generator.randrange(first, len(result) - 8)
        word = place - place % 4
        match generator.randrange(6):
            case 0:
                result[place] ^= 1 << generator.randrange(8)
            case 1:
                del result[place : place + generator.choice([1, 8])]
            case 2:
                result[place:place] = result[max(first, place - 16) : place]
            case _:
                result[word : word + 4] = struct.pack("<I", generator.choice(WORDS))
    return bytes(result)


def repacked(data: bytes, generator: random.Random) -> bytes:
    """Each compressed variable changed inside, so that zlib's checksum is right."""
    parts, place = [data[:128]], 128
    while place < len(data):
        _, size = struct.unpack_from("<II", data, place)
        inside = zlib.decompress(data[place + 8 : place + 8 + size])
        parts.append(packed(zlib.compress(changed(inside, generator, 0))))
        place += 8 + size
    return b"".join(parts)


def read_all(variable: ForeignVariable) -> Any:
    return variable.strings() if variable.is_text else variable.whole()


def outcomes(path: Path) -> list[str]:
    """What becomes of a file: that this process goes on is what matters."""
    try:
        for variable in foreign_variables(path, fields=True).values():
            read_all(variable)
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017  (either outcome is right)
        return ["ended" if "ends a process" in str(error) else "refused"]
    return ["read"]


def test_changed_files_never_end_the_process(tmp_path: Path) -> None:
    generator = random.Random(0)
    plain, small = examples(compress=False), examples(compress=True)
    path = tmp_path / "x.mat"
    found = []
    for number in range(300):
        path.write_bytes(changed(plain, generator, 128) if number % 2 else repacked(small, generator))
        found += outcomes(path)
        if number % 10 == 0:
            with pytest.raises(CheckpointError, match=r"x\.mat"):
                read_matconvnet(path)
    assert min(found.count(outcome) for outcome in ("refused", "read")) > 20


def test_changed_hdf5_files_never_end_the_process(tmp_path: Path, write_v73: Any) -> None:
    generator = random.Random(0)
    path = tmp_path / "x.mat"
    write_v73(path, {"images": np.arange(96, dtype=np.uint8).reshape(2, 3, 4, 4), "caption": ["a dog", "a cat"]})
    whole = path.read_bytes()
    for _ in range(100):
        path.write_bytes(changed(whole, generator, 512))
        outcomes(path)
    path.write_bytes(whole)
    assert outcomes(path) == ["read"]


@pytest.mark.parametrize("depth", [10, 100_000])
def test_nested_cells(tmp_path: Path, depth: int) -> None:
    variable, size = [element(MATRIX, b"")], 8
    for level in range(depth):  # from the inside; joined at the end
        head = matrix(CELL, (1, 1), name="x" if level == depth - 1 else "")[8:]
        size += len(head)
        variable.append(struct.pack("<II", MATRIX, size) + head)
        size += 8
    path = save(tmp_path / "nested.mat", b"".join(reversed(variable)))
    assert outcomes(path) == (["read"] if depth == 10 else ["ended"])


def zeros(count: int) -> bytes:
    """`count` bytes of doubles that are zero, in a zlib stream made piece by piece."""
    start = matrix(DOUBLE, (1, count // 8), name="x")[8:]
    coder = zlib.compressobj(1)
    head = struct.pack("<II", MATRIX, len(start) + 8 + count) + start + struct.pack("<II", FLOAT64, count)
    pieces = [coder.compress(head), *(coder.compress(bytes(2**20)) for _ in range(count // 2**20))]
    return packed(b"".join([*pieces, coder.flush()]))


@pytest.fixture
def new_child() -> Iterator[None]:
    """A child with the limits that a test sets, and for the next test another."""
    guard._CHILD.end()
    yield
    guard._CHILD.end()


def test_decompression_bomb(tmp_path: Path, new_child: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MEMORY", 2**29)
    path = save(tmp_path / "bomb.mat", zeros(2**29))
    assert path.stat().st_size < 2**22
    with pytest.raises(DataError, match=r"bomb\.mat: x: cannot read it: it needs more memory"):
        foreign_variables(path)["x"].rows(0, 0, 1)
    path = save(tmp_path / "small.mat", zeros(2**20))
    assert foreign_variables(path)["x"].whole().shape == (1, 2**17)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"reading it ends a process \(SIGSEGV\)"),
        ("import os; os.abort()", r"reading it ends a process \(SIGABRT\)"),
        ("raise SystemExit(3)", r"reading it ends a process \(exit 3\)"),
        ("import time; time.sleep(60)", r"reading it comes to no end \(0 s\)"),
    ],
)
def test_a_file_that_no_process_survives(
    tmp_path: Path, new_child: None, monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    path = save(tmp_path / "x.mat", matrix(DOUBLE, (1, 1), doubles(7)))
    variable = foreign_variables(path)["x"]
    with monkeypatch.context() as patch:
        patch.setattr(guard, "PROGRAM", program)
        patch.setattr(guard, "PATIENCE", 0.3 if "sleep" in program else 60.0)
        guard._CHILD.end()
        with pytest.raises(DataError, match=rf"x\.mat: damaged MATLAB 5 file: {said}"):
            variable.whole()
    start = time.perf_counter()
    for _ in range(100):  # it has been told; no further child is tried on it
        with pytest.raises(DataError, match=said):
            variable.whole()
    assert time.perf_counter() - start < 0.5
    assert foreign_variables(path)["x"].whole().tolist() == [[7]]


def test_files_that_change_are_opened_anew(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        save(tmp_path / "x.mat", matrix(DOUBLE, (1, 1), doubles(value)))
        assert foreign_variables(tmp_path / "x.mat")["x"].whole().tolist() == [[value]]
