"""The protocol: which pairs are sent as queries, which train, which are searched. One file of conf/protocol each."""

from dataclasses import dataclass, replace

from omegaconf import MISSING

from aach_lightning.config.choices import SplitRule
from aach_lightning.config.option import POSITIVE, SEED, Limits, existing, option


@dataclass
class SizesConfig:
    """Sizes of the parts in one data set; the database is everything but the queries."""

    query: int = option(MISSING, "rule=per_label: of each label", POSITIVE)
    train: int = option(MISSING, "rule=per_label: of each label", POSITIVE)
    first_query: int | None = option(None, "rule=per_label: of the first label, where that differs", POSITIVE)
    first_train: int | None = option(None, "rule=per_label: of the first label, where that differs", POSITIVE)
    fill_train: int | None = option(None, "rule=per_label: train is filled up by pairs of any label", POSITIVE)
    pairs: int | None = option(None, "of the data set for which this was published; only compared", POSITIVE)


@dataclass
class SplitConfig:
    """Which pairs are query, train and database."""

    name: str = option(MISSING, "of the protocol")
    rule: SplitRule = option(MISSING, "how rows are chosen for the parts")
    seed: int = option(0, "of what a rule draws; of rule=positional the order of the queries alone", SEED)
    query: int | None = option(None, "pairs of the query part; null: as `sizes` says", POSITIVE)
    train: int | None = option(None, "pairs of the train part; null: as `sizes` says", POSITIVE)
    dataset: str | None = option(None, "the row of `sizes` that counts")
    sizes: dict[str, SizesConfig] = option(dict, "of the parts, by name of the data set")
    file: str | None = option(
        None,
        "a split from elsewhere: it alone counts, but for train rows that it does not name",
        existing("must be an existing file or folder, or null"),
    )
    first_row: int | None = option(None, "number of the first row in `file`; null: told from the numbers", Limits(0, 1))


def chosen_sizes(split: SplitConfig) -> SizesConfig | None:
    """Sizes from the table, or those that split.query and split.train put in their place.

    Returns:
        None where neither says them.
    """
    published = split.sizes.get(split.dataset or "")
    if published is None:
        if split.query is None or split.train is None:
            return None
        return SizesConfig(query=split.query, train=split.train)
    changed = {key: value for key, value in (("query", split.query), ("train", split.train)) if value is not None}
    return replace(published, **changed)


def protocol_name(split: SplitConfig) -> str:
    """What a split is called in results."""
    return split.name if split.file is None else "file"
