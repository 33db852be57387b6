"""The typed configuration of the split: which pairs are sent as queries, which train, which are searched."""

from dataclasses import dataclass, field, replace

from omegaconf import MISSING

from aach_lightning.config.choices import SplitRule


@dataclass
class SizesConfig:
    """Sizes of the parts in one data set; the database is everything but the queries."""

    query: int = MISSING  # rule=per_label: of each label
    train: int = MISSING  # rule=per_label: of each label
    first_query: int | None = None  # rule=per_label: of the first label, where that gives another number
    first_train: int | None = None
    fill_train: int | None = None  # rule=per_label: train is filled up to so many by pairs of any label
    pairs: int | None = None  # pairs of the data set for which this was published; only compared


@dataclass
class SplitConfig:
    """The protocol, one file of conf/protocol."""

    name: str = MISSING
    rule: SplitRule = MISSING
    seed: int = MISSING
    query: int | None = None  # null: as `sizes` says
    train: int | None = None
    dataset: str | None = None  # the row of `sizes` that counts
    sizes: dict[str, SizesConfig] = field(default_factory=dict)  # by name of the data set
    file: str | None = None  # a split from elsewhere: it alone counts, but for train rows that it does not name
    first_row: int | None = None  # in `file`, the number of the first row, 0 or 1; null: told from the numbers


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
