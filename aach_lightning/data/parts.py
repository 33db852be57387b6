"""What a split from elsewhere leaves open."""

import logging
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aach_lightning.data.splits import Split
from aach_lightning.runtime.seeding import numpy_generator

log = logging.getLogger(__name__)

Rows = NDArray[np.int64]


def complete_split(
    query: Rows,
    train: Rows | None,
    database: Rows | None,
    *,
    pairs: int,
    most_train: int | None,
    seed: int,
    origin: str,
) -> Split:
    """Fill in the parts that are not given, and mix the queries.

    Args:
        query: Rows of the query part.
        train: Rows of the train part, or None: it is then drawn from the database.
        database: Rows of the database, or None: all rows but the queries.
        pairs: Size of the data set.
        most_train: Size of a train part that is drawn; None for the whole database.
        seed: The same seed gives the same split.
        origin: Where the parts come from, for the log.

    Raises:
        DataError: If the parts break the rules of `Split`.
    """
    if database is None:
        database = np.setdiff1d(np.arange(pairs, dtype=np.int64), query)
        log.info("%s: has no database part: all but the queries are searched", origin)
    if train is None:
        train = numpy_generator(seed, "train").permutation(database)[:most_train]
        log.warning("%s: has no train part: %d pairs of its database were drawn by split.seed", origin, len(train))
    return mix_queries(Split(query=query, train=train, database=database), seed)


def mix_queries(split: Split, seed: int) -> Split:
    """Put the queries into a random order, so that the first of them, which are attacked, are a fair sample."""
    return replace(split, query=numpy_generator(seed, "query order").permutation(split.query))
