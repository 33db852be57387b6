"""Means of MAP over replicates, with Student's intervals: the one step from measured rows to every table and curve."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

CONFIDENCE = 0.95


def aggregate(table: pd.DataFrame, by: Sequence[str], means: Sequence[str] = ()) -> pd.DataFrame:
    """Average within each replicate, then over replicates: what was measured twice counts once.

    Args:
        table: Long: one row for each measured MAP, with columns `map`, `replicate`, `by` and `means`.
        by: Columns whose combinations are the conditions.
        means: Further columns to be averaged.

    Returns:
        One row for each condition, sorted: `by`; `n` replicates; `mean` of MAP; `half` the
        width of its 95 % interval, and its ends `low` and `high`, missing where n < 2: no interval comes from one
        value; `means`.
    """
    by, means = list(by), list(means)
    once = table.groupby([*by, "replicate"], as_index=False, dropna=False)[["map", *means]].mean()
    groups = once.groupby(by, dropna=False)
    cells: pd.DataFrame = groups["map"].agg(n="count", mean="mean", half="std").join(groups[means].mean())
    half = half_width(cells["half"].to_numpy(), cells["n"].to_numpy())
    return cells.assign(half=half, low=cells["mean"] - half, high=cells["mean"] + half).reset_index()


def half_width(deviation: Any, n: Any) -> Any:
    """Half the width of Student's interval of a mean: t(0.975, n - 1) s / sqrt(n); NaN for n < 2.

    Args:
        deviation: Standard deviations with n - 1 in the denominator, an array.
        n: Numbers of values, an array of the same shape.
    """
    n = np.asarray(n, dtype=np.float64)
    quantile = student.ppf((1 + CONFIDENCE) / 2, np.where(n > 1, n - 1, np.nan))
    return quantile * np.asarray(deviation, dtype=np.float64) / np.sqrt(n)


def with_chance(table: pd.DataFrame) -> pd.DataFrame:
    """Add a row of query "chance" for each run and direction, where the run tells it."""
    chance = table.drop_duplicates(["run", "direction"]).dropna(subset=["chance"])
    return pd.concat([table, chance.assign(query="chance", map=chance["chance"])], ignore_index=True)
