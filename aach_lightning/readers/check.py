"""What a data set holds and what is wrong with it."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from aach_lightning.config.choices import OnDamaged
from aach_lightning.data.pairs import Pairs
from aach_lightning.errors import DataError
from aach_lightning.readers.fits import Fit, read_protocols, try_protocols
from aach_lightning.readers.kinds import Kind, data_line, recognise
from aach_lightning.runtime.files import digest
from aach_lightning.runtime.instantiate import instantiate

_BLOCK = 1024


@dataclass(frozen=True)
class Check:
    """The findings.

    Attributes:
        kind: What the path is.
        pairs: What was read; pairs with damaged images are left out.
        line: The overrides that select these data.
        label_counts: int64, C. Pairs with each label.
        unlabelled: Pairs without a label.
        textless: Pairs whose text vector is zero.
        text_range: Smallest and largest text entry.
        relevance_rate: Chance that two different pairs share a label: about the MAP of a ranking by chance.
        duplicates: Groups of pairs with equal pixels after decoding, at least two each.
        protocols: What each protocol makes of these data.
        damage: Which images cannot be read and why, in words; empty where there are none.
    """

    kind: Kind
    pairs: Pairs
    line: str
    label_counts: NDArray[np.int64]
    unlabelled: int
    textless: int
    text_range: tuple[float, float]
    relevance_rate: float
    duplicates: tuple[tuple[int, ...], ...]
    protocols: tuple[Fit, ...]
    damage: str


def check(path: Path, image_size: int, cache: Path) -> Check:
    """Read data of any known kind and look at all of it.

    Args:
        path: File or folder.
        image_size: Height and width in pixels; what is decoded here need not be decoded again for training at this
            size.
        cache: Folder for decoded images.

    Raises:
        ConfigError: If the path is of no known kind.
        DataError: If it cannot be read at all.
    """
    kind = recognise(path)
    pairs, damage = _read(kind, path, image_size, cache)
    empty = _rows_of_zeros(pairs.texts)
    return Check(
        kind=kind,
        pairs=pairs,
        line=data_line(kind, path.absolute(), image_size, bool(damage)),
        label_counts=pairs.labels.sum(0, dtype=np.int64),
        unlabelled=_rows_of_zeros(pairs.labels),
        textless=empty,
        text_range=(float(pairs.texts.min()), float(pairs.texts.max())) if pairs.texts.size else (0.0, 0.0),
        relevance_rate=relevance_rate(pairs.labels),
        duplicates=duplicate_images(pairs),
        protocols=try_protocols(pairs, read_protocols()),
        damage=damage,
    )


def _read(kind: Kind, path: Path, image_size: int, cache: Path) -> tuple[Pairs, str]:
    def read(on_damaged: OnDamaged) -> Pairs:
        config = asdict(kind.configure(str(path), image_size, on_damaged))
        return cast(Pairs, instantiate(config, cache=str(cache)))

    try:
        return read(OnDamaged.error), ""
    except DataError as error:  # its words name the damaged images, which a reader that skips them only counts
        pairs = read(OnDamaged.skip)
        return pairs, str(error) if pairs.skipped else ""


def _rows_of_zeros(values: NDArray[np.generic]) -> int:
    return int(np.count_nonzero(~values.any(axis=1)))


def relevance_rate(labels: NDArray[np.uint8]) -> float:
    """Chance that two different pairs share at least one label; 0 for fewer than two pairs.

    Args:
        labels: uint8 in {0, 1}, N x C.

    Example:
        >>> relevance_rate(np.array([[1, 0], [1, 1], [0, 1]], np.uint8)).__round__(3)
        0.667
    """
    count = len(labels)
    if count < 2 or not labels.shape[1]:
        return 0.0
    itself = float(np.count_nonzero(labels.any(axis=1)))
    return (_relevant(labels, labels) - itself) / (count * (count - 1.0))


def relevance_between(query: NDArray[np.uint8], database: NDArray[np.uint8]) -> float:
    """Chance that a query and a pair of the database share at least one label; 0 where there are none.

    Args:
        query: uint8 in {0, 1}, Q x C.
        database: uint8 in {0, 1}, N x C.

    Example:
        >>> relevance_between(np.array([[1, 0]], np.uint8), np.array([[1, 1], [0, 1]], np.uint8))
        0.5
    """
    return _relevant(query, database) / (len(query) * len(database)) if query.size and database.size else 0.0


def _relevant(some: NDArray[np.uint8], others: NDArray[np.uint8]) -> float:
    """How many pairs of a row of each share a label."""
    rows, times = _combinations(some)
    columns, weight = _combinations(others)
    marks, together = columns.astype(np.float32).T, 0.0
    for start in range(0, len(rows), _BLOCK):
        shared = rows[start : start + _BLOCK].astype(np.float32) @ marks > 0
        together += float(times[start : start + _BLOCK] @ (shared @ weight.astype(np.float64)))
    return together


def _combinations(labels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The rows that occur, which are few of all that could, and how often each does."""
    packed = np.packbits(labels, axis=1)  # numpy finds equal bytes far faster than equal rows
    _, first, times = np.unique(packed.view(f"V{packed.shape[1]}")[:, 0], return_index=True, return_counts=True)
    return labels[first], times


def duplicate_images(pairs: Pairs) -> tuple[tuple[int, ...], ...]:
    """Groups of rows whose decoded images are equal, in order of their first row."""
    groups: dict[str, list[int]] = defaultdict(list)
    for row in track(range(len(pairs)), "comparing images", transient=True):
        image = pairs.images[row if pairs.image_rows is None else pairs.image_rows[row]]
        groups[digest(np.ascontiguousarray(image).data.cast("B"))].append(row)
    return tuple(tuple(rows) for rows in groups.values() if len(rows) > 1)
