import io
import random
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.sparse import csc_array

from aach_lightning.errors import DataError
from aach_lightning.readers.containers import matlab_walk
from aach_lightning.readers.containers.matlab5 import (
    check_matlab5,
    is_matlab5,
    list_matlab5,
    load_matlab5,
    open_matlab5,
)
from aach_lightning.readers.containers.source import open_variables

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


def check(path: Path) -> None:
    """As `load_matlab5`, without scipy: nothing that a test shows here can end the process of the tests."""
    for variable in list_matlab5(path):
        check_matlab5(path, variable)


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
    found = {it.header.name: load_matlab5(path, it) for it in list_matlab5(path)}
    assert found["numbers"].tolist() == [[1, 3, 5], [2, 4, 6]]
    assert found["word"].tolist() == ["dog"]
    assert found["cells"][0, 0].tolist() == ["a"]
    assert found["cells"][0, 1].size == 0
    assert found["record"]["ab"][0, 0].tolist() == [[7]]
    assert found["packed"].tolist() == [[9]]
    assert found["x"].toarray().tolist() == [[1, 0], [0, 1], [1, 0]]


WRONG: dict[str, tuple[Callable[[], bytes], str]] = {
    "unknown type": (lambda: matrix(DOUBLE, (1, 1), element(99, bytes(8))), "type 99 where numbers"),
    "type without a meaning": (lambda: matrix(DOUBLE, (1, 1), element(8, bytes(8))), "type 8 where numbers"),
    "type of 2^31": (lambda: matrix(DOUBLE, (1, 1), struct.pack("<II", 2**31, 8) + bytes(8)), "of 32768 bytes in"),
    "too few numbers": (lambda: matrix(DOUBLE, (1, 2), doubles(1)), "8 bytes for 2 numbers"),
    "too many numbers": (lambda: matrix(DOUBLE, (1, 2), doubles(1, 2, 3)), "24 bytes for 2 numbers"),
    "negative dimension": (lambda: matrix(DOUBLE, (-1, 1), doubles(1)), r"dimensions \(-1, 1\)"),
    "one dimension": (lambda: matrix(DOUBLE, (1,), doubles(1)), r"dimensions \(1,\)"),
    "33 dimensions": (lambda: matrix(DOUBLE, (1,) * 33, doubles(1)), "dimensions"),
    "half a dimension": (
        lambda: element(MATRIX, element(UINT32, struct.pack("<II", 6, 0)) + element(INT32, bytes(7)) + doubles(1)),
        "dimensions of 7 bytes",
    ),
    "element beyond the end": (
        lambda: matrix(DOUBLE, (1, 1), struct.pack("<II", FLOAT64, 2**31 - 8) + bytes(8)),
        "goes beyond the end",
    ),
    "bytes behind": (lambda: matrix(DOUBLE, (1, 1), doubles(1), doubles(2)), "a matrix takes 64 bytes and states 80"),
    "many blanks": (lambda: matrix(CHAR, (1, 2**30), element(UTF8, b"")), "0 bytes for 1,073,741,824 characters"),
    "missing cells": (lambda: matrix(CELL, (2**15, 2**15)), "more than 4,194,304"),
    "a cell that is no matrix": (lambda: matrix(CELL, (1, 1), doubles(1)), "type 9 with 8 bytes where a matrix"),
    "structs without fields": (
        lambda: matrix(STRUCT, (2**15, 2**15), integers(8), element(INT8, b"")),
        "more than 4,194,304",
    ),
    "field names without length": (lambda: matrix(STRUCT, (1, 1), integers(0), element(INT8, b"a")), "length"),
    "field names of negative length": (lambda: matrix(STRUCT, (1, 1), integers(-8), element(INT8, b"a")), "length"),
    "field name without an end": (
        lambda: matrix(STRUCT, (0, 0), integers(8), element(INT8, b"a" * 8)),
        "8 bytes of field names, 8 each",
    ),
    "function inside": (
        lambda: matrix(CELL, (1, 1), matrix(FUNCTION, (1, 1), name="")),
        "an object, function or handle",
    ),
    "no flags": (lambda: element(MATRIX, doubles(1)), "no array flags"),
    "nothing": (lambda: element(MATRIX, b""), "ends inside a tag"),
    "name of numbers": (
        lambda: element(MATRIX, element(UINT32, struct.pack("<II", 6, 0)) + integers(1, 1) + doubles(1)),
        "type 9 where a name",
    ),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("compress", [False, True])
def test_what_could_end_the_process_is_refused(tmp_path: Path, case: str, compress: bool) -> None:
    make, said = WRONG[case]
    variable = make()
    if compress:
        variable = packed(zlib.compress(variable))
    with pytest.raises(DataError, match=said) as caught:
        check(save(tmp_path / "wrong.mat", variable))
    assert str(tmp_path / "wrong.mat") in str(caught.value)


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
    with pytest.raises(DataError, match=r"5\.mat: x: .*damaged"):
        open_matlab5(path)["x"].rows(0, 0, 3)
    right = csc_array((np.ones(3), np.array([0, 2, 1]), np.array([0, 2, 3])), shape=(3, 2))
    write_v73(tmp_path / "7.mat", {"x": right})
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "7.mat", "r+") as file:
        for key, content in (("ir", rows), ("jc", starts), ("data", [1.0] * values)):
            del file["x"][key]
            file["x"][key] = np.array(content, float if key == "data" else np.int64)
    with pytest.raises(DataError, match=r"7\.mat: x: (a damaged|cannot read it)|7\.mat: damaged"):
        open_variables(tmp_path / "7.mat")["x"].rows(0, 0, 3)


def test_sparse_matrix_that_would_fill_the_memory(tmp_path: Path) -> None:
    path = save(tmp_path / "5.mat", sparse((2**30, 1), [0], [0, 1]))
    with pytest.raises(DataError, match="more than 536,870,912 entries"):
        open_matlab5(path)["x"].rows(0, 0, 3)


@pytest.mark.parametrize("depth", [matlab_walk.MAX_DEPTH, matlab_walk.MAX_DEPTH + 1, 5000])
def test_nested_cells(tmp_path: Path, depth: int) -> None:
    variable = element(MATRIX, b"")
    for level in range(depth):
        variable = matrix(CELL, (1, 1), variable, name="x" if level == depth - 1 else "")
    path = save(tmp_path / "nested.mat", variable)
    if depth == matlab_walk.MAX_DEPTH:
        check(path)
    else:
        with pytest.raises(DataError, match="nested deeper than 16"):
            check(path)


# ---- compressed variables ----


def claimed(size: int, content: bytes) -> bytes:
    """A matrix of doubles that states `size` bytes."""
    start = matrix(DOUBLE, (1, (size - 48) // 8), name="x")[8:]
    return struct.pack("<II", MATRIX, size) + start + struct.pack("<II", FLOAT64, size - 56) + content


def zeros(count: int) -> bytes:
    """`count` zeros of a zlib stream, made piece by piece."""
    coder = zlib.compressobj(9)
    start = coder.compress(claimed(count + 56, b""))
    pieces = [coder.compress(bytes(2**20)) for _ in range(count // 2**20)]
    return b"".join([start, *pieces, coder.flush()])


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_decompression_bomb(tmp_path: Path) -> None:
    content = zeros(2**30)
    assert len(content) < 2**21
    path = save(tmp_path / "bomb.mat", packed(content))
    before = peak()
    with pytest.raises(DataError, match=r"1,0\d\d,\d\d\d bytes that claim to unpack to 1,073,741,888: .* 600 times"):
        check(path)
    assert peak() - before < 100_000  # KiB (bytes on macOS, where this is only stricter)


@pytest.mark.parametrize("stated", [2**20, 80, 64])
def test_compressed_variable_that_lies_about_its_size(tmp_path: Path, stated: int) -> None:
    whole = claimed(72, struct.pack("<2d", 1, 2))
    lying = struct.pack("<II", MATRIX, stated) + whole[8:]
    with pytest.raises(DataError, match=f"does not unpack to {stated + 8:,} bytes"):
        check(save(tmp_path / "lying.mat", packed(zlib.compress(lying))))


def test_compressed_variable_with_a_changed_byte(tmp_path: Path) -> None:
    whole = zlib.compress(matrix(DOUBLE, (1, 9), doubles(*range(9))), 0)  # stored, so that only the checksum can tell
    changed = bytearray(whole)
    changed[-12] ^= 1
    check(save(tmp_path / "whole.mat", packed(whole)))
    with pytest.raises(DataError, match="incorrect data check"):
        check(save(tmp_path / "changed.mat", packed(bytes(changed))))
    with pytest.raises(DataError, match="damaged"):
        check(save(tmp_path / "torn.mat", packed(whole[:-3])))


# ---- right answers ----


@pytest.mark.parametrize("order", ["<", ">"])
def test_letters_beyond_ascii(tmp_path: Path, order: str) -> None:
    """MATLAB writes characters as UTF-16."""
    text = "Café 東京"
    content = element(UINT16, text.encode("utf-16-le" if order == "<" else "utf-16-be"), order)
    path = save(tmp_path / "x.mat", matrix(CHAR, (1, len(text)), content, name="caption", order=order), order=order)
    assert open_matlab5(path)["caption"].strings() == [text]


def real_files() -> list[Path]:
    import scipy.io.matlab

    return sorted(path for path in Path(scipy.io.matlab.__file__).parent.glob("tests/data/*.mat") if is_matlab5(path))


@pytest.mark.skipif(not real_files(), reason="scipy is installed without its test files")
def test_files_of_matlab_itself() -> None:
    """From MATLAB 6.1 to 8, big and little endian: everything that scipy can read and that is no object or function."""
    read = 0
    for path in real_files():
        if path.name.startswith(("bad_", "corrupted_", "malformed")):
            with pytest.raises(DataError):
                check(path)
            continue
        expected = loadmat(path)
        for variable in list_matlab5(path):
            value, wanted = load_matlab5(path, variable), expected[variable.header.name]
            if isinstance(wanted, csc_array) or hasattr(wanted, "toarray"):
                value, wanted = value.toarray(), wanted.toarray()
            if wanted.dtype.kind in "biufcU":
                np.testing.assert_array_equal(value, wanted)
            assert value.dtype == wanted.dtype
            read += 1
    assert read >= 60


# ---- fuzzing ----

FUZZ = """
import sys
from pathlib import Path
from aach_lightning.readers.containers.matlab5 import is_matlab5, open_matlab5
from aach_lightning.zoo.matconvnet import read_matconvnet
from aach_lightning.errors import CheckpointError, DataError
read = refused = 0
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        for variable in open_matlab5(path).values() if is_matlab5(path) else ():
            variable.strings() if variable.is_text else variable.rows(0, 0, 3)
            read += 1
    except DataError:
        refused += 1
    try:
        read_matconvnet(path)
    except CheckpointError:
        pass
print(read, refused)
"""
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


def test_changed_files_never_end_the_process(tmp_path: Path) -> None:
    generator = random.Random(0)
    plain, small = examples(compress=False), examples(compress=True)
    for number in range(600):
        content = changed(plain, generator, 128) if number % 2 else repacked(small, generator)
        (tmp_path / f"{number:03}.mat").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, str(tmp_path)], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    read, refused = map(int, done.stdout.split())
    assert read > 100
    assert refused > 300
