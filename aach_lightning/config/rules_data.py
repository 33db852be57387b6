"""Rules between keys of `data` and `split`: before data are read, and once their split is known."""

from collections.abc import Iterator

from aach_lightning.config.choices import SplitRule
from aach_lightning.config.data import ContainerConfig, ScenesConfig, SentencesConfig
from aach_lightning.config.schema import RunConfig
from aach_lightning.config.split import chosen_sizes

Rule = tuple[bool, str, str]
"""Whether a rule holds, the key that it is about, and what its value must be."""

_FIXED = (SplitRule.random, SplitRule.positional, SplitRule.permutation)  # sizes that do not depend on the data


def data_rules(config: RunConfig) -> Iterator[Rule]:
    """Rules that need no data."""
    data, split = config.data, config.split
    if isinstance(data, SentencesConfig):
        yield data.vocabulary is None or data.encoder is None, "data.vocabulary", "must be null beside data.encoder"
    if split.file is not None:
        return
    seeds = split.rule is not SplitRule.permutation or 0 <= split.seed < 2**32
    yield seeds, "split.seed", "must lie in 0 to 2^32 - 1 under split.rule=permutation"
    if split.rule is SplitRule.pack:
        yield isinstance(data, ContainerConfig), "split.rule", "needs data=container, a pack that comes in parts"
        yield (
            split.query is None,
            "split.query",
            "must be null under split.rule=pack, which takes the pack's query part",
        )
        return
    sizes = chosen_sizes(split)
    if sizes is None:
        known = f"protocol={split.name} knows the sizes of {', '.join(split.sizes) or 'no data set'}"
        advice = "name the one that these data are, or set split.query and split.train"
        yield False, "split.dataset", f"{known}: {advice}"
    elif split.rule in _FIXED:
        parts = sizes.query + sizes.train
        enough = not isinstance(data, ScenesConfig) or parts <= data.pairs
        yield enough, "data.pairs", f"must be at least split.query + split.train={parts}"
        yield from _fitting(
            config, sizes.query, sizes.train, f"split.query={sizes.query}", f"split.train={sizes.train}"
        )


def part_rules(config: RunConfig, query: int, train: int, database: int) -> Iterator[Rule]:
    """Rules about the sizes of the parts of a split, which some protocols only tell once the data have been split."""
    split, size = config.split, config.answer.gallery
    origin = f"its size by {f'protocol={split.name}' if split.file is None else f'split.file={split.file}'}"
    yield from _fitting(config, query, train, f"{query}, {origin}", f"{train}, {origin}")
    allowed = f"the catalogue is a part of the database: must be at most {database}"
    yield not config.answer.ranked or size <= database, "answer.gallery", allowed


def _fitting(config: RunConfig, query: int, train: int, most_queries: str, most_pairs: str) -> Iterator[Rule]:
    allowed = f"the M queried pairs come from the train part: must be at most {most_pairs}"
    yield config.budget.pairs <= train, "budget.pairs", allowed
    allowed = f"attacked queries are the first of the query part: must be at most {most_queries}"
    yield config.evaluation.queries <= query, "evaluation.queries", allowed
