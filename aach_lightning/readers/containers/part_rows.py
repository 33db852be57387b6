"""The parts of a pack read, but for their pixels, and as one list of pairs with the split that the parts make of it."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aach_lightning.data.splits import Split
from aach_lightning.errors import DataError
from aach_lightning.readers.containers.axes import possible_axes
from aach_lightning.readers.containers.matrices import counts, read_labels, read_matrix
from aach_lightning.readers.containers.roles import Part
from aach_lightning.readers.containers.variable import Variable
from aach_lightning.runtime.files import digest

MAX_PAIRS = 2**24
_Identity = tuple[str | bytes, ...]


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
