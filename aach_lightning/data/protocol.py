"""From the configured protocol to the split of the data at hand."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from aach_lightning.config.choices import SplitRule
from aach_lightning.config.split import SplitConfig, chosen_sizes
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.rules import per_label_split, permutation_split, positional_split
from aach_lightning.data.splits import Split, make_split
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.instantiate import partial_of
from aach_lightning.runtime.seeding import numpy_generator

log = logging.getLogger(__name__)

Rows = NDArray[np.int64]
LOAD_SPLIT = "aach_lightning.readers.split_files.split_file.load_split"
"""Reader of split files, a wing that is reached by name."""


def split_pairs(config: SplitConfig, pairs: Pairs) -> Split:
    """Split the data as the protocol, or the file that takes its place, says.

    Raises:
        ConfigError: If the protocol says nothing about these data or its parts do not fit into them.
        DataError: If a split file is damaged or not of these data.
    """
    if config.file is not None:
        load = partial_of({"_target_": LOAD_SPLIT, "first_row": config.first_row, "train": config.train})
        return cast(Split, load(Path(config.file), pairs, seed=config.seed))
    if config.rule is SplitRule.pack:
        return _given_split(config, pairs)
    sizes = chosen_sizes(config)
    if sizes is None:
        raise ConfigError(
            f"protocol={config.name} says nothing about {config.dataset}, only about {', '.join(config.sizes)}"
        )
    if config.rule is SplitRule.per_label:
        return mix_queries(per_label_split(pairs.labels, pairs.label_names, sizes, config.seed), config.seed)
    if config.rule is SplitRule.positional:
        return mix_queries(positional_split(len(pairs), sizes.query, sizes.train), config.seed)
    chosen = permutation_split if config.rule is SplitRule.permutation else make_split
    return chosen(len(pairs), sizes.query, sizes.train, config.seed)


def _given_split(config: SplitConfig, pairs: Pairs) -> Split:
    given = pairs.given
    if given is None or not len(given.query):
        raise ConfigError(
            f"{pairs.name} does not come in parts of which one is query (keys with te, tr, db and the like), which "
            f"split.rule=pack needs; choose another protocol"
        )
    if len(given.train) and config.train is not None:
        raise ConfigError(
            f"split.train={config.train}: must be null, since {pairs.name} has a train part of {len(given.train)} pairs"
        )
    return complete_split(
        given.query,
        given.train if len(given.train) else None,
        given.database,
        pairs=len(pairs),
        most_train=config.train,
        seed=config.seed,
        origin=pairs.name,
    )


def split_note(config: SplitConfig, pairs: Pairs) -> str:
    """`pairs.note`, and what a reader of a result must know about the split."""
    sentences = [f"{pairs.note.removesuffix('.')}."] if pairs.note else []
    if config.file is None and config.rule is SplitRule.pack:
        sentences.append("Split as the pack is.")
    elif pairs.given is not None:
        sentences.append("Split anew, not as the pack is.")
    published = None if config.file is not None else config.sizes.get(config.dataset or "")
    if published is not None and published.pairs not in (None, len(pairs)):
        sentences.append(f"Protocol {config.name} is for {published.pairs:,} pairs, these are {len(pairs):,}.")
    return " ".join(sentences) if len(sentences) > 1 else pairs.note or "".join(sentences)


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
