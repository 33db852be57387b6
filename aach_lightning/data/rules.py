"""How the field's code chooses queries and train pairs, each rule as a function of sizes, labels and a seed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aach_lightning.config.split import SizesConfig
from aach_lightning.data.splits import Split, cut
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.seeding import numpy_generator


def positional_split(pairs: int, query: int, train: int) -> Split:
    """Take the first rows as queries, the next as train, as DCMH's code does with its file.

    Raises:
        ConfigError: If the parts do not fit into the data set.
    """
    return cut(np.arange(pairs, dtype=np.int64), query, train)


def permutation_split(pairs: int, query: int, train: int, seed: int) -> Split:
    """Cut the rows that numpy.random.seed(seed) and then numpy.random.permutation(pairs) give, as MITH's code does.

    Args:
        pairs: Size of the data set.
        query: Size of the query part, at least 1.
        train: Size of the train part, at least 1.
        seed: In 0 to 2^32 - 1.

    Raises:
        ConfigError: If the parts do not fit into the data set.
    """
    legacy = np.random.RandomState(seed)  # not a Generator: published rows come from its stream, which numpy keeps
    return cut(legacy.permutation(pairs).astype(np.int64), query, train)


def per_label_split(labels: NDArray[np.uint8], label_names: Sequence[str], sizes: SizesConfig, seed: int) -> Split:
    """Take so many queries and train pairs of each label, as DJSRH's code does; the database is all but the queries.

    Labels come in the order of their columns. Each gives pairs that have it and were not taken for an earlier one, in a
    random order: first the queries, then train. Then train is filled up with pairs of any label, where `sizes` say so;
    only for that may a label have too few.

    Args:
        labels: uint8 in {0, 1}, N x C.
        label_names: C names, for messages.
        sizes: What each label gives.
        seed: The same seed gives the same split.

    Raises:
        ConfigError: If a label has too few pairs, or too few are left to fill train up.
    """
    generator = numpy_generator(seed, "per label")
    taken = np.zeros(len(labels), dtype=bool)
    queries, trains = [], []
    for column, name in enumerate(label_names):
        query = sizes.first_query if column == 0 and sizes.first_query is not None else sizes.query
        train = sizes.first_train if column == 0 and sizes.first_train is not None else sizes.train
        free = generator.permutation(np.flatnonzero((labels[:, column] == 1) & ~taken)).astype(np.int64)
        if len(free) < query + (0 if sizes.fill_train else train):
            raise ConfigError(
                f"split.query={query} and split.train={train} of each label: label {name} has {len(free)} pairs that "
                f"are not taken for an earlier label; set smaller numbers"
            )
        queries.append(free[:query])
        trains.append(free[query : query + train])
        taken[free[: query + train]] = True
    chosen, trained = np.concatenate(queries), np.concatenate(trains)
    database = np.setdiff1d(np.arange(len(labels), dtype=np.int64), chosen)
    if sizes.fill_train is not None:
        missing = sizes.fill_train - len(trained)
        others = generator.permutation(np.setdiff1d(database, trained))
        if missing > len(others):
            raise ConfigError(f"train cannot be filled up to {sizes.fill_train} pairs: {len(database)} are no queries")
        trained = np.concatenate([trained, others[: max(0, missing)]])
    return Split(query=chosen, train=trained, database=database)
