"""Finding the parts of a distribution and reading its text files."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from aach_lightning.errors import ConfigError, DataError


def find_part(root: str, what: str, *places: str) -> Path:
    """Find a file or folder that people keep in one of a few places.

    Args:
        root: The value of `data.root`.
        what: What is looked for, for the message.
        places: Paths relative to `root`, the first that exists counts.

    Raises:
        ConfigError: If there is none of them; lists where it was looked for.
    """
    for place in places:
        if (Path(root) / place).exists():
            return Path(root) / place
    raise ConfigError(f"data.root={root}: {what} is missing there. Looked for: {', '.join(places)}.")


def read_lines(path: Path) -> Iterator[bytes]:
    """Read the lines of a file without the white space around them, blank ones at the end left out.

    Raises:
        DataError: If the file cannot be read.
    """
    blank = 0
    try:
        with path.open("rb") as file:
            for line in file:
                stripped = line.strip()
                if not stripped:
                    blank += 1
                    continue
                yield from [b""] * blank
                blank = 0
                yield stripped
    except OSError as error:
        raise DataError(f"{path}: cannot read it: {error}") from error


def read_content(path: Path) -> bytes:
    """Read a whole file without the white space around it.

    Raises:
        DataError: If the file cannot be read.
    """
    try:
        return path.read_bytes().strip()
    except OSError as error:
        raise DataError(f"{path}: cannot read it: {error}") from error


def read_words(path: Path) -> list[str]:
    """Read the lines that are not blank as text; bytes that are not UTF-8 become the replacement character.

    Raises:
        DataError: If the file cannot be read.
    """
    return [line.decode("utf-8-sig", "replace") for line in read_lines(path) if line]


def parse_marks(line: bytes, width: int, place: str) -> NDArray[np.uint8]:
    r"""Parse `width` marks 0 or 1, separated by white space.

    Args:
        line: The text.
        width: Number of marks it must hold.
        place: File and line, for the message.

    Returns:
        uint8 in {0, 1}, of `width` entries.

    Raises:
        DataError: If there are more or fewer marks, or others.

    Example:
        >>> parse_marks(b"0 1\t1", 3, "file, line 1").tolist()
        [0, 1, 1]
    """
    marks, gaps = line[::2], line[1::2]
    # one character a mark and one between: read ten times as fast, and NUS-WIDE has 270 million marks
    usual = len(marks) == width and not marks.strip(b"01") and not gaps.strip()
    if not usual:
        tokens = line.split()
        if len(tokens) != width:
            raise DataError(f"{place}: {len(tokens):,} entries instead of {width:,}")
        wrong = [token for token in tokens if token not in (b"0", b"1")]
        if wrong:
            raise DataError(f"{place}: {wrong[0][:40]!r}, where only 0 and 1 may stand")
        marks = b"".join(tokens)
    return np.frombuffer(marks, dtype=np.uint8) - np.uint8(ord("0"))


def relative_image(text: str, place: str) -> PurePosixPath:
    r"""Turn a listed image into a path below its folder; `\` and `/` both separate folders.

    Raises:
        DataError: If the path would leave the folder or names nothing.
    """
    path = PurePosixPath(text.replace("\\", "/"))
    # isprintable: neither zero bytes nor half characters, which no file name can hold; 255 bytes are the longest name
    possible = text.isprintable() and bool(path.name) and len(text.encode()) <= 255
    if not possible or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise DataError(f"{place}: {text[:200]!r} is no path inside the folder of the images")
    return path
