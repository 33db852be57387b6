"""Files that are either whole or absent, and hashes of content."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from aach_lightning.errors import StoreError

PART = ".part"  # the end of the names of files that are being written


def digest(*parts: bytes | memoryview) -> str:
    """Hash of some bytes, as 32 hexadecimal digits (BLAKE2b, 16 bytes); the lengths of the parts count.

    Example:
        >>> digest(b"ab", b"c") == digest(b"a", b"bc")
        False
    """
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.hexdigest()


def digest_json(value: Any) -> str:
    """Hash of a value made of dicts, lists, strings, numbers, booleans and None; the order of keys does not count."""
    return digest(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())


def digest_file(path: Path) -> str:
    """Hash of the content of a file, as 32 hexadecimal digits (BLAKE2b, 16 bytes)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into a StoreError that names the file."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG):
            raise StoreError(
                f"cannot write {path}: {error.strerror}. Nothing half-written was kept. Free space there, or choose "
                f"another folder with paths.store / paths.cache, and run the same command again."
            ) from error
        raise


def sync_directory(directory: Path) -> None:
    """Make renames and new names inside `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file so that a kill or a full disk leaves the old file or none, never a part.

    Args:
        path: Where the file shall be; its folder is created.
        write: Gets a binary file object beside `path`.

    Raises:
        StoreError: If the disk is full or cannot be written.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PART, dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            mask = os.umask(0)
            os.umask(mask)
            Path(name).chmod(0o666 & ~mask)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes, atomically."""
    write_atomically(path, lambda file: file.write(content))


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically; NaN and infinity are refused."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode())
