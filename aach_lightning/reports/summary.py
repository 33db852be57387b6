"""MAP over budget and epsilon: means over seeds, with Student's t intervals."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from aach_lightning.errors import ConfigError

CONFIDENCE = 0.95
REFERENCES = ("white_box", "noise", "clean", "chance")
_AXES = ("budget.pairs", "attack.epsilon", "attack.text_epsilon")
# Keys that change no number of the rows that are compared: what is shown, logged, or measured beside them.
_IDLE = (
    "stage",
    "logger.",
    "evaluation.picture_rows",
    "evaluation.save_adversarial",
    "evaluation.white_box",
    "evaluation.trace",
    "evaluation.held_out",
    "attack.modality",
)
_POOLED = -1
_CELL = ["direction", "block", "query", "budget_pairs", "epsilon"]


def replicate_keys(text: str, configs: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """The keys of `--over`.

    Raises:
        ConfigError: If no run has such a key.
    """
    keys = tuple(dict.fromkeys(key.strip() for key in text.split(",") if key.strip()))
    known = {key for config in configs.values() for key in config}
    unknown = [key for key in keys if key not in known]
    if unknown or not keys:
        seeds = ", ".join(sorted(key for key in known if key.split(".")[-1] == "seed"))
        raise ConfigError(f"--over={text}: must be keys of the configuration, such as {seeds}")
    if axes := [key for key in keys if key in _AXES]:
        raise ConfigError(f"--over={text}: {', '.join(axes)} is an axis of the table and cannot be averaged over")
    return keys


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
    measured = _long(frame, keys, over)
    single = _cells(measured)
    pooled = _cells(measured[measured["query"] != "attack"].assign(budget_pairs=_POOLED))
    cells = pd.concat([_with_gaps(single), pooled], ignore_index=True)
    names = measured[["block", *keys]].drop_duplicates("block")
    cells = cells.merge(names, on="block", how="left")
    order = {name: position for position, name in enumerate(("attack", *REFERENCES))}
    cells["rank"] = cells["query"].map(order).fillna(len(order))
    cells["place"] = cells["block"].map({block: place for place, block in enumerate(names["block"])})
    cells = cells.sort_values(["direction", "place", "rank", "query", "budget_pairs", "epsilon"], ignore_index=True)
    cells["budget_pairs"] = cells["budget_pairs"].astype("Int64").mask(cells["budget_pairs"] == _POOLED)
    return cells[["direction", "block", *keys, "query", "budget_pairs", "epsilon", "n", "mean", "low", "high"]]


def block_keys(frame: pd.DataFrame, over: Sequence[str] = ("seed",)) -> list[str]:
    """Columns that tell blocks apart: few of those that vary, but enough.

    Names and classes come first, as they say most: where the targets `dcmh` and `ssah` differ in twenty keys, the name
    is enough. The hash of the data counts where runs with one configuration saw different data.
    """
    names = [name for name in frame.columns if name.startswith("config.")]
    names = [name for name in names if _key(name) not in (*_AXES, *over) and not _key(name).startswith(_IDLE)]
    names.sort(key=lambda name: not name.endswith((".name", "._target_")))  # stable
    runs = frame.drop_duplicates("run")
    chosen: list[str] = []
    groups = 1
    for name in names:
        more = runs.groupby([*chosen, name], dropna=False).ngroups
        if more > groups:
            chosen, groups = [*chosen, name], more
    configured = [name for name in frame.columns if name.startswith("config.")]
    if len(runs) > (runs.groupby(configured, dropna=False).ngroups if configured else 1):
        chosen.append("data_hash")  # nothing else is left that tells these runs apart
    return [name for name in frame.columns if name in chosen]


def _key(column: str) -> str:
    return column.removeprefix("config.")


def _long(frame: pd.DataFrame, keys: Sequence[str], over: Sequence[str]) -> pd.DataFrame:
    """One row for each measured MAP, chance included: direction, block, query, budget, epsilon, replicate, map."""
    texts = [named(name, frame[name]) for name in keys]
    replicates = [name if name == "seed" else f"config.{name}" for name in over]
    replicates = [name for name in replicates if name in frame.columns]  # else it is the same in all runs
    measured = frame[["run", "direction", "query", "budget_pairs", "map", "chance", *keys]].assign(
        block=[", ".join(parts) for parts in zip(*texts, strict=True)] if texts else "",
        epsilon=frame["epsilon"].where(frame["direction"].str.startswith("I"), frame["text_epsilon"]),
        replicate=frame.groupby(replicates, dropna=False).ngroup() if replicates else 0,
    )
    chance = measured.drop_duplicates(["run", "direction"])
    chance = chance.assign(query="chance", map=chance["chance"]).dropna(subset=["map"])
    return pd.concat([measured, chance], ignore_index=True)


def named(column: str, values: "pd.Series[Any]") -> list[str]:
    """A column as `key=value`; of classes the last part of their path, where that is enough to tell them apart."""
    key = _key(column).removesuffix("._target_")
    texts = [None if pd.isna(value) else str(value).removesuffix(".0") for value in values]
    if key != _key(column):
        short = {text: text.rpartition(".")[2] for text in texts if text is not None}
        if len(set(short.values())) == len(short):
            texts = [text and short[text] for text in texts]
    return [f"{key} not set" if text is None else f"{key}={text}" for text in texts]


def _cells(measured: pd.DataFrame) -> pd.DataFrame:
    once = measured.groupby([*_CELL, "replicate"], as_index=False)["map"].mean()
    cells: pd.DataFrame = once.groupby(_CELL, as_index=False)["map"].agg(n="count", mean="mean", deviation="std")
    half = half_width(cells.pop("deviation").to_numpy(), cells["n"].to_numpy())
    return cells.assign(low=cells["mean"] - half, high=cells["mean"] + half)


def half_width(deviation: Any, n: Any) -> Any:
    """Half the width of Student's interval of a mean: t(0.975, n - 1) s / sqrt(n); NaN for n < 2.

    Args:
        deviation: Standard deviations with n - 1 in the denominator, an array.
        n: Numbers of values, an array of the same shape.
    """
    n = np.asarray(n, dtype=np.float64)
    quantile = student.ppf((1 + CONFIDENCE) / 2, np.where(n > 1, n - 1, np.nan))
    return quantile * np.asarray(deviation, dtype=np.float64) / np.sqrt(n)


def _with_gaps(cells: pd.DataFrame) -> pd.DataFrame:
    """Add the combinations of budget and epsilon that a direction knows and a block lacks, with n = 0."""
    missing = []
    for direction, known in cells.groupby("direction"):
        grid = list(itertools.product(*(known[name].unique() for name in ("block", "budget_pairs", "epsilon"))))
        for query, measured in known.groupby("query"):
            there = set(zip(measured["block"], measured["budget_pairs"], measured["epsilon"], strict=True))
            missing += [(direction, block, query, *place) for block, *place in grid if (block, *place) not in there]
    gaps = pd.DataFrame(missing, columns=_CELL).assign(n=0, mean=np.nan, low=np.nan, high=np.nan)
    return pd.concat([cells, gaps.astype(cells.dtypes)], ignore_index=True)
