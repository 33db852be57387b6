"""Query, train and database parts of a data set, fixed by a seed and saved with their hash."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aach_lightning.errors import ConfigError, DataError
from aach_lightning.runtime.files import digest, write_json
from aach_lightning.runtime.seeding import numpy_generator


@dataclass(frozen=True)
class Split:
    """Row numbers of the three parts; the train part lies inside the database, the query part outside it.

    Attributes:
        query: int64, rows that are sent as queries.
        train: int64, rows that the target was trained on and from which an attacker's M pairs come.
        database: int64, rows that are searched.
    """

    query: NDArray[np.int64]
    train: NDArray[np.int64]
    database: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Check the protocol.

        Raises:
            DataError: If a part has repeated rows, query and database share rows, or train leaves the database.
        """
        for name in ("query", "train", "database"):
            rows = getattr(self, name)
            if len(np.unique(rows)) != len(rows):
                raise DataError(f"split: the {name} part names a row twice")
        shared = np.intersect1d(self.query, self.database)
        if len(shared):
            raise DataError(f"split: query and database share {len(shared)} rows, for example row {shared[0]}")
        foreign = np.setdiff1d(self.train, self.database)
        if len(foreign):
            raise DataError(f"split: {len(foreign)} train rows are not in the database, for example row {foreign[0]}")

    @property
    def fingerprint(self) -> str:
        """Hash of the three parts, in order."""
        return digest(*(getattr(self, name).astype("<i8").tobytes() for name in ("query", "train", "database")))

    @property
    def outside(self) -> NDArray[np.int64]:
        """Database rows outside the train part, sorted; may be none."""
        return np.setdiff1d(self.database, self.train)

    @property
    def largest(self) -> int:
        """The largest row number, -1 where there are no rows."""
        return int(max(self.query.max(initial=-1), self.database.max(initial=-1)))

    def among(self, rows: NDArray[np.int64]) -> Self:
        """The same parts after all rows but these were left out; they are numbered anew, in the order given."""
        place = {row: number for number, row in enumerate(rows.tolist())}
        parts = (
            np.array([place[row] for row in getattr(self, name).tolist() if row in place], dtype=np.int64)
            for name in ("query", "train", "database")
        )
        return type(self)(*parts)

    def save(self, path: Path) -> None:
        """Write the rows and their hash as JSON, atomically."""
        parts = {name: getattr(self, name).tolist() for name in ("query", "train", "database")}
        write_json(path, {"hash": self.fingerprint, **parts})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a saved split.

        Raises:
            DataError: If the file is unreadable or does not match its own hash.
        """
        try:
            content = json.loads(path.read_text())
            split = cls(*(np.asarray(content[name], dtype=np.int64) for name in ("query", "train", "database")))
            expected = content["hash"]
        except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise DataError(f"cannot read the split {path}: {error}") from error
        if split.fingerprint != expected:
            raise DataError(f"the split {path} does not match its own hash: it was changed after it was written")
        return split


def make_split(pairs: int, query: int, train: int, seed: int) -> Split:
    """Shuffle the rows once, take the first as queries, the next as train, and all but the queries as database.

    Args:
        pairs: Size of the data set.
        query: Size of the query part, at least 1.
        train: Size of the train part, at least 1.
        seed: The same seed gives the same split.

    Raises:
        ConfigError: If the parts do not fit into the data set.
    """
    return cut(numpy_generator(seed, "split").permutation(pairs).astype(np.int64), query, train)


def cut(order: NDArray[np.int64], query: int, train: int) -> Split:
    """Take the first rows of an order as queries, the next as train, and all but the queries as database.

    Args:
        order: int64, every row of the data set once.
        query: Size of the query part, at least 1.
        train: Size of the train part, at least 1.

    Raises:
        ConfigError: If the parts do not fit into the data set.
    """
    if query < 1 or train < 1 or query + train > len(order):
        raise ConfigError(
            f"split.query={query} and split.train={train} do not fit into {len(order)} pairs: both must be at least 1 "
            f"and their sum at most {len(order)}"
        )
    return Split(query=order[:query], train=order[query : query + train], database=order[query:])


def gallery_rows(split: Split, size: int, seed: int) -> NDArray[np.int64]:
    """The rows of a service's public catalogue, a fixed part of the database: int64, `size`, in the order of their ids.

    A smaller gallery is the first part of any larger one.

    Raises:
        ConfigError: If the database is smaller.
    """
    if size > len(split.database):
        raise ConfigError(
            f"answer.gallery={size}: the catalogue is a part of the database: must be at most {len(split.database)}"
        )
    return numpy_generator(seed, "gallery").permutation(split.database)[:size]


def budget_order(split: Split, seed: int) -> NDArray[np.int64]:
    """All train rows in the order in which an attacker of this seed would query them.

    The M pairs of a budget are the first M, so that smaller budgets of a seed lie inside larger ones.
    """
    return numpy_generator(seed, "budget").permutation(split.train)
