import io
import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from aach_lightning.errors import DataError
from aach_lightning.readers.archives import Limits, unpack


def write_zip(path: Path, members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return path


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(tmp_path: Path, archive: Path, said: str, limits: Limits | None = None) -> None:
    with pytest.raises(DataError, match=said) as caught:
        unpack(archive, tmp_path / "here" / "out", limits)
    assert str(archive) in str(caught.value)
    assert [name for name in everything(tmp_path) if name not in ("here", archive.name)] == []


@pytest.mark.parametrize("top", ["", "top/", "a/"])
def test_content_and_single_top_folder(tmp_path: Path, top: str) -> None:
    members = {"one.txt": b"1" * 9, "sub/two.bin": bytes(range(256)) * 50, "sub/deep/three": b""}
    archive = write_zip(tmp_path / "x.zip", {f"{top}{name}": value for name, value in members.items()})
    assert unpack(archive, tmp_path / "out") == 3
    assert content(tmp_path / "out") == members
    assert everything(tmp_path)[:1] == ["out"]
    assert not list(tmp_path.glob(".*"))


def test_folders_and_finder_files_are_not_counted(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "x.zip", {"top/": b"", "top/a": b"a", "__MACOSX/top/._a": b"junk"})
    assert unpack(archive, tmp_path / "out") == 1
    assert content(tmp_path / "out") == {"a": b"a"}


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "a/..", "/evil", "//evil", "C:/evil", "C:evil", "..\\evil", "a\\..\\..\\evil", "."],
)
def test_names_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    archive = write_zip(tmp_path / "x.zip", {"good": b"1", name: b"2"})
    refused(tmp_path, archive, "absolute or leaves the folder")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good", b"1")
        member = zipfile.ZipInfo("link")
        member.create_system = 3
        member.external_attr = (kind | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    refused(tmp_path, path, "a link or device")


def test_bombs(tmp_path: Path) -> None:
    refused(tmp_path, write_zip(tmp_path / "x.zip", {"zeros": bytes(3 * 2**20)}), "grows more than 200 times")
    many = write_zip(tmp_path / "x.zip", {str(number): b"" for number in range(11)})
    refused(tmp_path, many, "11 members, more than 10 allowed", Limits(files=10))
    large = write_zip(tmp_path / "x.zip", {"a": b"x" * 60, "b": b"x" * 41})
    refused(tmp_path, large, "101 bytes once unpacked, more than 100 allowed", Limits(size=100))
    assert unpack(large, tmp_path / "out", Limits(files=2, size=101)) == 2


@pytest.mark.parametrize("stated", [99, 101])
def test_member_of_another_size_than_stated(tmp_path: Path, stated: int) -> None:
    archive = write_zip(tmp_path / "x.zip", {"a": b"x" * 100}, zipfile.ZIP_DEFLATED)
    raw = archive.read_bytes()
    assert raw.count(struct.pack("<I", 100)) == 2  # in the local header and in the directory
    archive.write_bytes(raw.replace(struct.pack("<I", 100), struct.pack("<I", stated)))
    refused(tmp_path, archive, "not a whole zip archive|not of the size")


@pytest.mark.parametrize("names", [("a", "a"), ("a", "A"), ("a", "a/b")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_in_one_place(tmp_path: Path, names: tuple[str, str]) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in names:
            archive.writestr(name, name)
    refused(tmp_path, tmp_path / "x.zip", "the same place")


def test_encrypted(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "x.zip", {"a": b"x"})
    raw = bytearray(archive.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(raw)
    refused(tmp_path, archive, "encrypted")


def test_every_cut_is_refused(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "x.zip", {"a": b"some text", "b": b"more"})
    raw = archive.read_bytes()
    for length in range(len(raw)):
        archive.write_bytes(raw[:length])
        refused(tmp_path, archive, "zip")


def test_changed_bytes_give_the_right_content_or_an_error(tmp_path: Path) -> None:
    members = {"a": b"some text" * 3, "b/c": b"more"}
    archive = write_zip(tmp_path / "x.zip", members)
    raw = archive.read_bytes()
    for position in range(len(raw)):
        archive.write_bytes(raw[:position] + bytes([raw[position] ^ 0x15]) + raw[position + 1 :])
        folder = tmp_path / str(position)
        try:
            unpack(archive, folder)
        except DataError:
            assert not folder.exists()
        else:  # a name or a time was changed, or a byte that says nothing
            assert sorted(content(folder).values()) == sorted(members.values())


def test_existing_folder_is_kept(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "x.zip", {"a": b"new"})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("old")
    with pytest.raises(DataError, match="exists already"):
        unpack(archive, tmp_path / "out")
    assert content(tmp_path / "out") == {"a": b"old"}


def test_what_a_killed_call_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "half").write_text("x")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", "whole")
    (tmp_path / "x.zip").write_bytes(buffer.getvalue())
    unpack(tmp_path / "x.zip", tmp_path / "out")
    assert content(tmp_path / "out") == {"a": b"whole"}
    assert everything(tmp_path) == ["out", "out/a", "x.zip"]
