"""From the configured protocol to the split of the data at hand."""

from pathlib import Path
from typing import cast

from aach_lightning.config.choices import SplitRule
from aach_lightning.config.split import SplitConfig, chosen_sizes
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.parts import complete_split, mix_queries
from aach_lightning.data.rules import per_label_split, permutation_split, positional_split
from aach_lightning.data.splits import Split, make_split
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.instantiate import partial_of

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
