"""MAP over budget and epsilon, for each combination of what else varies."""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from aach_lightning.reports.aggregate import aggregate, with_chance
from aach_lightning.reports.naming import block_keys, named

REFERENCES = ("white_box", "noise", "clean", "chance")
_POOLED = -1
_CELL = ["direction", "block", "query", "budget_pairs", "epsilon"]


def summarise(frame: pd.DataFrame, over: Sequence[str] = ("seed",)) -> pd.DataFrame:
    """Means and 95 % intervals of MAP.

    Args:
        frame: Of `reports.frame.to_frame`, at least one row.
        over: Keys of the configuration whose combinations are the replicates.

    Returns:
        One row for each direction, block, kind of query, budget and epsilon, with

        - `block`: what else varies, as text; "" where nothing does. One column `config.<key>` for each of these keys.
        - `query`: "attack" and the kinds of `REFERENCES`, each with a row for every combination of budget and epsilon
          that its direction knows, n = 0 where nothing was measured. The latter have further rows where `budget_pairs`
          is missing: all budgets together, averaged within each replicate first.
        - `epsilon`: of the attacked modality: images in 1/255, texts in units of an entry.
        - `n`: replicates; `mean`; `low` and `high`, missing where n < 2: no interval comes from one value.

    Runs of one replicate that differ only in keys without influence on a row, such as the other modality's epsilon,
    are averaged and count once.
    """
    keys = block_keys(frame, over)
    texts = [named(name, frame[name]) for name in keys]
    replicates = [name if name == "seed" else f"config.{name}" for name in over]
    replicates = [name for name in replicates if name in frame.columns]  # else it is the same in all runs
    measured = frame[["run", "direction", "query", "budget_pairs", "map", "chance", *keys]].assign(
        block=[", ".join(parts) for parts in zip(*texts, strict=True)] if texts else "",
        epsilon=frame["epsilon"].where(frame["direction"].str.startswith("I"), frame["text_epsilon"]),
        replicate=frame.groupby(replicates, dropna=False).ngroup() if replicates else 0,
    )
    measured = with_chance(measured)
    pooled = aggregate(measured[measured["query"] != "attack"].assign(budget_pairs=_POOLED), _CELL)
    cells = pd.concat([_with_gaps(aggregate(measured, _CELL)), pooled], ignore_index=True)
    names = measured[["block", *keys]].drop_duplicates("block")
    cells = cells.merge(names, on="block", how="left")
    order = {name: position for position, name in enumerate(("attack", *REFERENCES))}
    cells["rank"] = cells["query"].map(order).fillna(len(order))
    cells["place"] = cells["block"].map({block: place for place, block in enumerate(names["block"])})
    cells = cells.sort_values(["direction", "place", "rank", "query", "budget_pairs", "epsilon"], ignore_index=True)
    cells["budget_pairs"] = cells["budget_pairs"].astype("Int64").mask(cells["budget_pairs"] == _POOLED)
    return cells[["direction", "block", *keys, "query", "budget_pairs", "epsilon", "n", "mean", "low", "high"]]


def _with_gaps(cells: pd.DataFrame) -> pd.DataFrame:
    """Add the combinations of budget and epsilon that a direction knows and a block lacks, with n = 0."""
    missing = []
    for direction, known in cells.groupby("direction"):
        grid = list(itertools.product(*(known[name].unique() for name in ("block", "budget_pairs", "epsilon"))))
        for query, measured in known.groupby("query"):
            there = set(zip(measured["block"], measured["budget_pairs"], measured["epsilon"], strict=True))
            missing += [(direction, block, query, *place) for block, *place in grid if (block, *place) not in there]
    gaps = pd.DataFrame(missing, columns=_CELL).assign(n=0, mean=np.nan, half=np.nan, low=np.nan, high=np.nan)
    return pd.concat([cells, gaps.astype(cells.dtypes)], ignore_index=True)
