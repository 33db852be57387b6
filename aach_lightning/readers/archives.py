"""Zip archives from elsewhere, unpacked without trusting them."""

import errno
import os
import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from aach_lightning.errors import DataError
from aach_lightning.runtime.files import disk_errors

_BLOCK = 2**20
_SMALL = 2**20  # a small file of equal bytes may well shrink a thousandfold


@dataclass(frozen=True)
class Limits:
    """What an archive may hold at most.

    Attributes:
        files: Number of members.
        size: Bytes of all members together once unpacked.
        ratio: Unpacked by packed bytes of one member, for members above 1 MiB.
    """

    files: int = 300_000
    size: int = 40 * 2**30
    ratio: float = 200.0


def unpack(archive: Path, folder: Path, limits: Limits | None = None) -> int:
    """Unpack a zip archive so that `folder` is whole or absent.

    A single top folder that everything in the archive lies in is left out: its content lands in `folder` itself.

    Args:
        archive: The zip file.
        folder: Must not exist.
        limits: What the archive may hold; the default suits the archives of `SOURCES`.

    Returns:
        Number of files.

    Raises:
        DataError: If the archive is damaged, exceeds the limits, or holds absolute names, names that leave the folder,
            links, encrypted or repeated members; nothing is left of it then.
        StoreError: If the disk is full or cannot be written.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with disk_errors(folder):
            part.mkdir(parents=True)
            with zipfile.ZipFile(archive) as opened:
                if _stated_members(archive, len(opened.comment)) not in (len(opened.infolist()) % 2**16, 2**16 - 1):
                    raise zipfile.BadZipFile("it lists fewer members than it states")
                members = _checked(archive, opened.infolist(), limits or Limits())
                for member, path in members:
                    _write(archive, opened, member, part / path)
            if folder.exists():
                raise DataError(f"{folder} exists already: remove it to unpack {archive.name} anew")
            part.rename(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DataError(f"{archive}: not a whole zip archive: {error}") from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # the archive sent zipfile to a place before its beginning
            raise DataError(f"{archive}: not a whole zip archive: {error}") from error
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return len(members)


def _checked(
    archive: Path, members: list[zipfile.ZipInfo], limits: Limits
) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The files of an archive with their safe relative paths; everything is checked before the first is written."""
    if len(members) > limits.files:
        raise DataError(f"{archive}: {len(members):,} members, more than {limits.files:,} allowed")
    total = sum(member.file_size for member in members)
    if total > limits.size:
        raise DataError(f"{archive}: {total:,} bytes once unpacked, more than {limits.size:,} allowed")
    files = []
    for member in members:
        place = f"{archive}, member {member.filename!r}"
        path = _safe_path(member.filename, place)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DataError(f"{place}: a link or device, only files and folders are unpacked")
        if member.flag_bits & 1:
            raise DataError(f"{place}: encrypted")
        if member.file_size > max(_SMALL, limits.ratio * member.compress_size):
            raise DataError(f"{place}: grows more than {limits.ratio:g} times when unpacked")
        if not member.is_dir() and path.parts[0] != "__MACOSX":
            files.append((member, path))
    if not files:
        raise DataError(f"{archive}: no file inside")
    tops = {path.parts[0] for _, path in files}
    if len(tops) == 1 and all(len(path.parts) > 1 for _, path in files):
        files = [(member, PurePosixPath(*path.parts[1:])) for member, path in files]
    names = {str(path).casefold() for _, path in files}
    parents = {str(parent).casefold() for _, path in files for parent in path.parents}
    if len(names) != len(files) or names & parents:
        raise DataError(f"{archive}: two members would land in the same place")
    return files


def _stated_members(archive: Path, comment: int) -> int:
    """Number of members in the last record, which zipfile does not compare with what it has found.

    Modulo 2^16, or 2^16 - 1 where a larger field elsewhere holds the number.
    """
    with archive.open("rb") as file:
        file.seek(-22 - comment, os.SEEK_END)
        return int.from_bytes(file.read(22)[10:12], "little")


def _safe_path(name: str, place: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or any(sign in name for sign in "\\:\0"):
        raise DataError(f"{place}: the name is absolute or leaves the folder")
    return path


def _write(archive: Path, opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with opened.open(member) as source, path.open("xb") as file:
        while block := source.read(_BLOCK):  # zipfile compares the CRC at the end
            left -= len(block)
            if left < 0:
                break
            file.write(block)
    if left:
        raise DataError(f"{archive}, member {member.filename!r}: not of the size that the archive states")
