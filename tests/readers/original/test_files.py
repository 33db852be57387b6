from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aach_lightning.errors import ConfigError, DataError
from aach_lightning.readers.original.files import find_part, parse_marks, read_lines, read_words, relative_image
from aach_lightning.readers.original.listing import Count, log_counts


def test_lines_keep_blank_ones_between_but_not_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfone \r\n\r\n\n two\n\n\r\n")
    assert list(read_lines(tmp_path / "x")) == [b"\xef\xbb\xbfone", b"", b"", b"two"]
    assert read_words(tmp_path / "x") == ["one", "two"]


def test_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: cannot read it"):
        list(read_lines(tmp_path / "absent"))


@given(marks=st.lists(st.integers(0, 1), max_size=30), separator=st.sampled_from([b" ", b"\t", b"  ", b" \t"]))
def test_marks(marks: list[int], separator: bytes) -> None:
    line = separator.join(str(mark).encode() for mark in marks)
    found = parse_marks(line, len(marks), "here")
    assert found.dtype == np.uint8
    assert found.tolist() == marks


MARKS = st.lists(st.sampled_from([b"0", b"1", b" ", b"\t", b"2", b"/", b"\r\n"]), max_size=9).map(b"".join)


@given(line=st.one_of(st.binary(max_size=12), MARKS), width=st.integers(0, 4))
def test_any_bytes_are_marks_or_an_error(line: bytes, width: int) -> None:
    tokens = line.split()
    if len(tokens) == width and all(token in (b"0", b"1") for token in tokens):
        assert parse_marks(line, width, "here").tolist() == [int(token) for token in tokens]
    else:
        with pytest.raises(DataError, match=r"^here: "):
            parse_marks(line, width, "here")


@pytest.mark.parametrize(
    ("line", "said"), [(b"021", "1 entries instead of 2"), (b"  1", "1 entries"), (b"2 1", "b'2'")]
)
def test_characters_where_marks_or_gaps_stand(line: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        parse_marks(line, 2, "here")


@given(st.text(max_size=40))
def test_any_listed_image_lies_inside_or_is_refused(text: str) -> None:
    try:
        path = relative_image(text, "here")
    except DataError:
        return
    inside = (Path("/root") / path).resolve()
    assert inside != Path("/root")
    assert inside.is_relative_to("/root")


def test_listed_image_of_windows() -> None:
    assert relative_image(r"actor\0001_2124494179.jpg", "here") == PurePosixPath("actor/0001_2124494179.jpg")


def test_first_place_that_exists(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "c").mkdir()
    assert find_part(str(tmp_path), "it", "a", "b", "c") == tmp_path / "b"
    with pytest.raises(ConfigError, match=r"it is missing there\. Looked for: d, e\."):
        find_part(str(tmp_path), "it", "d", "e")


def test_counts_as_the_field_reports_leave_no_note() -> None:
    assert log_counts("x", [Count("images", 3, 3), Count("tags", 7)]) == ""
    assert str(Count("images", 1_000, 1_000)) == "images: 1,000, as the field reports"
    assert str(Count("images", 1_002, 1_000)) == "images: 1,002 instead of 1,000 (+2)"
    note = log_counts("x", [Count("images", 1, 0), Count("tags", 7), Count("pairs", 2, 4)])
    assert (
        note
        == "x differs from the numbers that the field reports: images: 1 instead of 0 (+1); pairs: 2 instead of 4 (-2)."
    )
