"""The parts of a pack as rows: texts, labels and names, and the split that the parts make of the pairs."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from aach_lightning.data.splits import Split
from aach_lightning.errors import DataError
from aach_lightning.readers.containers.axes import possible_axes
from aach_lightning.readers.containers.roles import Part
from aach_lightning.readers.containers.variable import Variable
from aach_lightning.runtime.files import digest

MAX_CLASSES = 10_000
MAX_ENTRIES = 2**31
"""Of one matrix: 8 GiB of 4-byte numbers. HDF5 files of a few bytes can claim any shape."""
_ROWS = 4096  # read at a time
MAX_PAIRS = 2**24
_Identity = tuple[str | bytes, ...]


def counts(variable: Variable) -> set[int]:
    """The numbers of rows that a matrix can have: the length of either axis."""
    return {len(variable.strings())} if variable.is_text else set(variable.shape)


def read_matrix(variable: Variable, count: int) -> NDArray[np.generic]:
    """Read a matrix with `count` rows; the rows of a square one are its first axis, as its author saw it.

    Returns:
        N x columns: uint8 where every value is 0 or 1, else float32.

    Raises:
        DataError: If it is not a matrix of numbers, no axis has that length, or a value is NaN or infinite.
    """
    if not 1 <= len(variable.shape) <= 2 or count not in variable.shape or 0 in variable.shape:
        raise DataError(f"{variable.where}: shape {variable.shape} has no axis for {count} pairs")
    if prod(variable.shape) > MAX_ENTRIES:
        raise DataError(f"{variable.where}: shape {variable.shape} has more than {MAX_ENTRIES:,} entries")
    axis = variable.shape.index(count)
    width = prod(variable.shape) // count
    binary: NDArray[np.generic] = np.empty((count, width), dtype=np.uint8)
    real: NDArray[np.generic] | None = None
    for start in range(0, count, _ROWS):
        block = variable.rows(axis, start, min(start + _ROWS, count)).reshape(-1, width)
        if block.dtype.kind not in "biuf":
            raise DataError(f"{variable.where}: holds {block.dtype}, needed are real numbers")
        if block.dtype.kind == "f" and not np.isfinite(block).all():
            row = start + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
            raise DataError(f"{variable.where}: row {row} (from 0) holds NaN or infinity")
        if real is None and not ((block == 0) | (block == 1)).all():
            real = np.empty((count, width), dtype=np.float32)
            real[:start] = binary[:start]
        target = binary if real is None else real
        target[start : start + len(block)] = block
    return binary if real is None else real


def read_labels(variable: Variable, count: int) -> NDArray[np.uint8]:
    """Read labels: 0/1 rows, or one whole class number a pair.

    Returns:
        uint8 in {0, 1}, N x C; of class numbers, one column for each number from the smallest to the largest.

    Raises:
        DataError: If they are neither, or as `read_matrix`.
    """
    if variable.is_text:
        raise DataError(f"{variable.where}: holds strings; labels must be 0/1 rows or class numbers")
    values = read_matrix(variable, count)
    if values.shape[1] > 1:
        if values.dtype != np.uint8:
            raise DataError(f"{variable.where}: labels must be 0 or 1, found {np.min(values)} to {np.max(values)}")
        return values.astype(np.uint8)
    numbers = values[:, 0].astype(np.float64)
    classes = numbers.astype(np.int64)
    spread = int(classes.max() - classes.min()) + 1
    if (numbers != classes).any() or spread > MAX_CLASSES:
        raise DataError(
            f"{variable.where}: one column must hold whole class numbers, at most {MAX_CLASSES:,} of them; found "
            f"{numbers.min()} to {numbers.max()}"
        )
    marks = np.zeros((count, spread), dtype=np.uint8)
    marks[np.arange(count), classes - classes.min()] = 1
    return marks


@dataclass(frozen=True)
class PartRows:
    """N pairs of one part.

    Attributes:
        split: query, train or database; empty where the pack is in one piece.
        images: Pixels, or a list of files.
        listed: N files as the list names them; empty where `images` holds pixels.
        sentences: N texts; empty where the texts are numbers.
        vectors: Text vectors, N x D: uint8 in {0, 1} or float32; None where texts are sentences.
        labels: uint8 in {0, 1}, N x C.
    """

    split: str
    images: Variable
    listed: tuple[str, ...]
    sentences: tuple[str, ...]
    vectors: NDArray[np.generic] | None
    labels: NDArray[np.uint8]

    @property
    def names(self) -> tuple[str, ...]:
        """N identifiers: listed files, or row numbers."""
        before = f"{self.split}-" if self.split else ""
        return self.listed or tuple(f"{before}{row}" for row in range(len(self.labels)))

    def identities(self) -> list[tuple[str | bytes, ...]]:
        """What tells one pair from another without reading pixels: its file, text and labels."""
        vectors = () if self.vectors is None else self.vectors
        texts = self.sentences or tuple(digest(row.astype(np.float32).tobytes()) for row in vectors)
        listed = self.listed or ("",) * len(self.labels)
        return list(zip(listed, texts, (row.tobytes() for row in self.labels), strict=True))


def read_rows(part: Part) -> PartRows:
    """Find the number of pairs on which images, texts and labels agree, and read texts and labels.

    Raises:
        DataError: If they agree on no number or on several, or a value is not allowed.
    """
    sizes = {len(part.images.strings())} if part.images.is_text else set(possible_axes(part.images))
    possible = (sizes & counts(part.texts) & counts(part.labels)) - {0}
    if len(possible) != 1:
        shapes = "; ".join(f"{it.where} {it.shape}" for it in (part.images, part.texts, part.labels))
        found = f"agree on {sorted(possible)}" if possible else "agree on none"
        raise DataError(f"data.path: how many pairs there are cannot be told from the shapes, which {found}: {shapes}")
    count = possible.pop()
    if count > MAX_PAIRS:
        raise DataError(f"data.path: {part.images.where}: {count:,} pairs, more than {MAX_PAIRS:,} allowed")
    return PartRows(
        split=part.split,
        images=part.images,
        listed=tuple(part.images.strings()) if part.images.is_text else (),
        sentences=tuple(part.texts.strings()) if part.texts.is_text else (),
        vectors=None if part.texts.is_text else read_matrix(part.texts, count),
        labels=read_labels(part.labels, count),
    )


def pool_parts(parts: Sequence[PartRows]) -> tuple[list[PartRows], Split | None]:
    """Put parts one after another; a train part that lies in the database counts once, as in the field's protocol.

    Args:
        parts: As `find_parts` orders them: query, train, database, of which some may be missing; or one piece.

    Returns:
        The parts whose pairs are kept, and their split in row numbers of these pairs. A train part outside the database
        is searched with it; a train part without a database is the database; a missing train part is empty. None
        where there is no query part or nothing else.
    """
    by_split = {part.split: part for part in parts}
    inside = None
    if "train" in by_split and "database" in by_split:
        inside = rows_inside(by_split["train"], by_split["database"])
    kept = [part for part in parts if part.split != "train" or inside is None]
    rows: dict[str, NDArray[np.int64]] = {}
    start = 0
    for part in kept:
        rows[part.split] = np.arange(start, start + len(part.labels), dtype=np.int64)
        start += len(part.labels)
    if "query" not in rows or len(rows) == 1:
        return kept, None
    if inside is not None:
        rows["train"] = rows["database"][inside]
    train, database = rows.get("train", np.empty(0, np.int64)), rows.get("database", np.empty(0, np.int64))
    searched = database if inside is not None else np.concatenate([train, database])
    return kept, Split(query=rows["query"], train=train, database=searched)


def rows_inside(part: PartRows, whole: PartRows) -> NDArray[np.int64] | None:
    """Find the row of `whole` that each row of `part` repeats.

    Pairs are told apart by file, text and labels. Where several of `whole` have all of that in common, their stored
    pixels decide.

    Returns:
        int64, one row of `whole` for each of `part`, none twice; None if one of `part` is not there.
    """
    known = whole.identities()
    times = Counter(known)
    doubtful = {identity for identity in times if times[identity] > 1} if not whole.listed else set()
    places: dict[_Identity, list[int]] = defaultdict(list)
    for row in reversed(range(len(known))):
        places[_with_pixels(whole, row, known[row], doubtful)].append(row)
    found = np.empty(len(part.labels), dtype=np.int64)
    for row, identity in enumerate(part.identities()):
        candidates = places.get(_with_pixels(part, row, identity, doubtful))
        if not candidates:
            return None
        found[row] = candidates.pop()
    return found


def _with_pixels(part: PartRows, row: int, identity: _Identity, doubtful: set[_Identity]) -> _Identity:
    if identity not in doubtful:
        return identity
    axes = possible_axes(part.images)[len(part.labels)][0]
    stored = part.images.rows(axes.row, row, row + 1)
    return (*identity, digest(np.ascontiguousarray(stored, dtype=np.float32).tobytes()))
