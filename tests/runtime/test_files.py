import errno
import hashlib
import json
import os
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aach_lightning.errors import StoreError
from aach_lightning.runtime.files import digest, digest_json, disk_errors, write_atomically, write_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_new_file_has_its_content_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_atomically(tmp_path / "deep" / "er" / "file", lambda file: file.write(b"whole"))
    assert (tmp_path / "deep" / "er" / "file").read_bytes() == b"whole"
    assert names(tmp_path / "deep" / "er") == ["file"]


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("failure", [RuntimeError("writer"), KeyboardInterrupt(), OSError(errno.EIO, "broken disk")])
def test_failing_writer_keeps_the_old_file(tmp_path: Path, before: bytes | None, failure: BaseException) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)

    def half(file: BinaryIO) -> None:
        file.write(b"half")
        file.flush()
        raise failure

    with pytest.raises(type(failure)):
        write_atomically(path, half)
    assert names(tmp_path) == ([] if before is None else ["file"])
    assert before is None or path.read_bytes() == before


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG])
def test_disk_full_names_the_file_and_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=os.strerror(code)) as caught:
        write_atomically(path, lambda file: file.write(b"new"))
    assert str(path) in str(caught.value)
    assert "paths.store" in str(caught.value)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_really_full_device() -> None:
    with (
        pytest.raises(StoreError, match="/dev/full"),
        disk_errors(Path("/dev/full")),
        Path("/dev/full").open("wb") as f,
    ):
        f.write(b"x")


def test_other_disk_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path):
        (tmp_path / "absent").read_bytes()


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", lambda file: file.write(b""))
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_digest_against_hashlib() -> None:
    expected = hashlib.blake2b(b"\x02" + b"\0" * 7 + b"ab" + b"\x01" + b"\0" * 7 + b"c", digest_size=16).hexdigest()
    assert digest(b"ab", memoryview(b"c")) == expected


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_digest_is_equal_exactly_for_equal_parts(first: list[bytes], second: list[bytes]) -> None:
    assert (digest(*first) == digest(*second)) == (first == second)


@settings(max_examples=60)
@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_digest_of_json_ignores_key_order_and_survives_a_file(value: dict[str, object]) -> None:
    backwards = dict(reversed(value.items()))
    assert digest_json(value) == digest_json(backwards) == digest_json(json.loads(json.dumps(value)))


@settings(max_examples=60)
@given(JSON, JSON)
def test_digest_of_json_tells_values_apart(first: object, second: object) -> None:
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (digest_json(first) == digest_json(second)) == same


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"deep": [float("-inf")]}])
def test_json_without_meaning_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        digest_json(value)
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "file", value)
    assert names(tmp_path) == []


def test_json_round_trip_keeps_unicode(tmp_path: Path) -> None:
    value = {"wort": "größe ♞", "list": [1, 2.5, None, True]}
    write_json(tmp_path / "file", value)
    assert json.loads((tmp_path / "file").read_text(encoding="utf-8")) == value
    assert "größe ♞".encode() in (tmp_path / "file").read_bytes()
