"""Rules between the split and other keys: before data are read, and once their split is known."""

from collections.abc import Iterator
from pathlib import Path

from aach_lightning.config.choices import SplitRule
from aach_lightning.config.data import ContainerConfig, ScenesConfig
from aach_lightning.config.schema import RunConfig
from aach_lightning.config.split import chosen_sizes
from aach_lightning.errors import ConfigError

_FIXED = (SplitRule.random, SplitRule.positional, SplitRule.permutation)  # sizes that do not depend on the data


def split_mistakes(config: RunConfig) -> Iterator[str]:
    """Check the split without reading data.

    Yields:
        Mistakes, each with its key, the value received and the values allowed.
    """
    split = config.split
    if split.first_row not in (None, 0, 1):
        yield f"split.first_row={split.first_row}: must be 0, 1 or null"
    if split.file is not None:
        if not Path(split.file).exists():
            yield f"split.file={split.file}: must be an existing file or folder, or null"
        return
    if split.rule is SplitRule.permutation and not 0 <= split.seed < 2**32:
        yield f"split.seed={split.seed}: must lie in 0 to 2^32 - 1 under split.rule=permutation"
    if split.rule is SplitRule.pack:
        if not isinstance(config.data, ContainerConfig):
            yield "split.rule=pack: needs data=container, a pack that comes in parts"
        if split.query is not None:
            yield f"split.query={split.query}: must be null under split.rule=pack, which takes the pack's query part"
        if split.train is not None and split.train < 1:
            yield f"split.train={split.train}: must be greater than 0, or null"
        return
    sizes = chosen_sizes(split)
    if sizes is None:
        yield (
            f"split.dataset={split.dataset}: protocol={split.name} knows the sizes of "
            f"{', '.join(split.sizes) or 'no data set'}: name the one that these data are, or set split.query and "
            f"split.train"
        )
        return
    for key, value in (("query", sizes.query), ("train", sizes.train)):
        if value < 1:
            yield f"split.{key}={value}: must be greater than 0"
    if split.rule in _FIXED:
        parts = sizes.query + sizes.train
        if isinstance(config.data, ScenesConfig) and parts > config.data.pairs:
            yield f"data.pairs={config.data.pairs}: must be at least split.query + split.train={parts}"
        yield from _too_many(
            config, sizes.query, f"split.query={sizes.query}", sizes.train, f"split.train={sizes.train}"
        )


def validate_parts(config: RunConfig, query: int, train: int, database: int) -> None:
    """Check what some protocols only tell once the data have been split: the sizes of the parts.

    Args:
        config: The configuration.
        query: Size of the query part.
        train: Size of the train part.
        database: Size of the database.

    Raises:
        ConfigError: Lists every mistake with its key, the value received and the values allowed.
    """
    split = config.split
    origin = f"protocol={split.name}" if split.file is None else f"split.file={split.file}"
    mistakes = list(_too_many(config, query, f"{query}, its size by {origin}", train, f"{train}, its size by {origin}"))
    if config.answer.ranked and config.answer.gallery > database:
        size = config.answer.gallery
        mistakes.append(f"answer.gallery={size}: the catalogue is a part of the database: must be at most {database}")
    if mistakes:
        raise ConfigError(
            "the configuration does not fit the split of these data:\n"
            + "\n".join(f"  - {mistake}" for mistake in mistakes)
        )


def _too_many(config: RunConfig, query: int, most_queries: str, train: int, most_pairs: str) -> Iterator[str]:
    budget, evaluation = config.budget.pairs, config.evaluation.queries
    if budget > train:
        yield (f"budget.pairs={budget}: the M queried pairs come from the train part: must be at most {most_pairs}")
    if evaluation > query:
        yield (
            f"evaluation.queries={evaluation}: attacked queries are the first of the query part: must be at most "
            f"{most_queries}"
        )
