"""The parts of a pack that is split already, as one list of pairs and the split that the parts make of it."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aach_lightning.data.splits import Split
from aach_lightning.readers.containers.axes import possible_axes
from aach_lightning.readers.containers.part_rows import PartRows
from aach_lightning.runtime.files import digest

_Identity = tuple[str | bytes, ...]


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
