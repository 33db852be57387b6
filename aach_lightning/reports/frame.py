"""Runs as one table: a row for each run, direction and kind of query."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from aach_lightning.errors import DataError
from aach_lightning.evaluation.result import Result
from aach_lightning.reports.text import encodable
from aach_lightning.runtime.files import digest_json

# Name: type in pandas, meaning. Then `seconds.<stage>` and `config.<key>` for every key that varies.
COLUMNS: dict[str, tuple[str, str]] = {
    "run": ("string", "hash of configuration, seed and data"),
    "path": ("string", "file that the row was read from"),
    "data": ("string", "data set"),
    "direction": ("string", "I2T, image queries against texts; T2I"),
    "query": ("string", "clean, noise, attack or white_box"),
    "target": ("string", "system under attack"),
    "code_length": ("Int64", "bits K"),
    "target_image_net": ("string", "backbone, with its arguments"),
    "target_text_net": ("string", "backbone, with its arguments"),
    "surrogate_image_net": ("string", "backbone, with its arguments"),
    "surrogate_text_net": ("string", "backbone, with its arguments"),
    "attack": ("string", "name of the attack"),
    "protocol": ("string", "name of the split"),
    "data_pairs": ("Int64", "pairs in the data set"),
    "query_pairs": ("Int64", "pairs in the query part of the split"),
    "train_pairs": ("Int64", "pairs that trained the target"),
    "database_pairs": ("Int64", "pairs that are searched"),
    "attacked": ("Int64", "queries that were attacked and measured"),
    "seed": ("Int64", "of the attacker"),
    "budget_pairs": ("Int64", "query budget M, in pairs"),
    "epsilon": ("float64", "bound on images, in 1/255"),
    "text_epsilon": ("float64", "bound on texts, in units of a text entry"),
    "map": ("float64", "mean average precision, in [0, 1]"),
    "drop": ("float64", "MAP of clean queries minus map"),
    "share_of_white_box": ("float64", "drop over the drop of the white-box bound"),
    "distance": ("float64", "mean Hamming distance to the clean codes, bits"),
    "bound": ("float64", "the row's own bound, in units of the input; 0 for clean"),
    "linf": ("float64", "largest change of an entry"),
    "rms": ("float64", "mean root-mean-square change of an item"),
    "psnr": ("float64", "dB; images only"),
    "ssim": ("float64", "images only"),
    "pairs_queried": ("Int64", "pairs paid for"),
    "items_queried": ("Int64", "codes of attacked items paid for"),
    "needs": ("string", "of the target: nothing, top k, ranks, codes or weights"),
    "labels": ("boolean", "whether the attacker was told labels"),
    "words": ("float64", "mean words added or removed; edited texts"),
    "targeted_map": ("float64", "MAP of what a targeted attack wants"),
    "chance": ("float64", "MAP of one constant code"),
    "seconds": ("float64", "all stages of the run"),
    "data_hash": ("string", "of the data set"),
    "split_hash": ("string", "of the split"),
}
# Where the columns that all rows of a result share are found in it.
_SHARED = {
    "data": "data.name",
    "target": "config.target.name",
    "code_length": "config.target.code_length",
    "attack": "config.attack.name",
    "data_pairs": "data.pairs",
    "train_pairs": "data.train",
    "database_pairs": "data.database",
    "attacked": "data.attacked",
    "seed": "seed",
    "budget_pairs": "config.budget.pairs",
    "epsilon": "config.attack.epsilon",
    "text_epsilon": "config.attack.text_epsilon",
    "data_hash": "data.hash",
    "split_hash": "data.split_hash",
}
NEEDED = ("data", "direction", "query", "seed", "budget_pairs", "epsilon", "text_epsilon", "map", "data_hash")
_NETS = ("image_net", "text_net")
_LEAVES: dict[str, type[Any] | tuple[type[Any], ...]] = {
    "string": str,
    "Int64": int,
    "float64": (int, float),
    "boolean": bool,
}


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys and their values; lists, and dictionaries without entries, as JSON.

    Example:
        >>> flatten({"budget": {"pairs": 40}, "sizes": [1, 2]})
        {'budget.pairs': 40, 'sizes': '[1, 2]'}
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list | Mapping) else value
    return flat


def identity(result: Result) -> str:
    """Equal for two files of the same run: hash of configuration, seed and data."""
    return digest_json({"config": result.config, "seed": result.seed, "data": result.data.get("hash")})


def rows_of(path: str, result: Result) -> list[dict[str, Any]]:
    """The fixed columns and the seconds of every row of a result.

    Raises:
        DataError: If a value that the table needs is missing, one has another type than its column, or there is no row.
    """
    flat = flatten({"config": result.config, "data": result.data, "seed": result.seed})
    nets = {f"{who}_{net}": _backbones(flat, f"config.{who}", net) for who in ("target", "surrogate") for net in _NETS}
    shared = {
        **{name: flat.get(key) for name, key in _SHARED.items()},
        **nets,
        "run": identity(result),
        "path": path,
        "protocol": flat.get("data.protocol", flat.get("config.split.name")),
        "query_pairs": flat.get("data.query", flat.get("config.split.query")),
        "seconds": sum(cost.get("seconds", 0.0) for cost in result.stages.values()),
    }
    stages = {
        encodable(f"seconds.{name.replace(' ', '_')}"): cost.get("seconds") for name, cost in result.stages.items()
    }
    rows = []
    for row in result.rows:
        own = {name: getattr(row, name) for name in COLUMNS if hasattr(row, name) and name != "epsilon"}
        values = {**shared, **own, "bound": row.epsilon, "chance": result.chance.get(row.direction)}
        _check(path, values)
        values = {name: encodable(value) if isinstance(value, str) else value for name, value in values.items()}
        rows.append({**values, **stages})
    if not rows:
        raise DataError(f"{path} has no rows")
    return rows


def _backbones(flat: Mapping[str, Any], part: str, net: str) -> str | None:
    """The networks of a modality, with their arguments: of a surrogate also the image nets averaged with the first."""
    starts = [f"{part}.{net}.backbone."]
    if net == "image_net":
        members = [key.split(".backbone.")[0] for key in flat if key.startswith(f"{part}.members.")]
        starts += [f"{member}.backbone." for member in dict.fromkeys(members)]
    said = []
    for start in starts:
        values = {key.removeprefix(start): value for key, value in flat.items() if key.startswith(start)}
        name = values.pop("_target_", None)
        if isinstance(name, str):
            arguments = ", ".join(f"{key}={value}" for key, value in values.items() if value is not None)
            said.append(name.rpartition(".")[2] + (f"({arguments})" if arguments else ""))
    return " + ".join(said) or None


def _check(path: str, values: Mapping[str, Any]) -> None:
    for name, (kind, _) in COLUMNS.items():
        value = values[name]
        if value is None and name not in NEEDED:
            continue
        if not isinstance(value, _LEAVES[kind]) or (isinstance(value, bool) and kind != "boolean"):
            raise DataError(f"{path} is no result that can be tabulated: {name} is {value!r:.80}")


def to_frame(rows: Sequence[Mapping[str, Any]], configs: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """All rows as a table.

    Args:
        rows: Of `rows_of`, at least one.
        configs: Flat configuration of each run.

    Returns:
        `COLUMNS`, one column `seconds.<stage>` for each stage that occurs, and one column `config.<key>` for each key
        that has not the same value in all runs.
    """
    stages = list(dict.fromkeys(name for row in rows for name in row if name.startswith("seconds.")))
    frame = pd.DataFrame.from_records(list(rows), columns=[*COLUMNS, *stages])
    kinds = {name: kind for name, (kind, _) in COLUMNS.items()} | dict.fromkeys(stages, "float64")
    further = {
        encodable(f"config.{key}"): _typed([configs[row["run"]].get(key) for row in rows], frame.index)
        for key in varying(list(configs.values()))
    }
    return pd.concat([frame.astype(kinds), pd.DataFrame(further, index=frame.index)], axis=1)


def varying(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys that have not the same value in all configurations, in the order in which they appear."""
    seen: dict[str, set[Any]] = {}
    for config in configs:
        for key, value in config.items():
            seen.setdefault(key, set()).add((isinstance(value, bool), value))
    return [key for key, values in seen.items() if len(values) > 1 or any(key not in config for config in configs)]


def _typed(values: Sequence[Any], index: pd.Index) -> "pd.Series[Any]":
    """A column of one type: booleans, whole numbers, numbers, or else text."""
    kinds = {type(value) for value in values if value is not None}
    for kind, allowed in (("boolean", {bool}), ("Int64", {int}), ("float64", {int, float})):
        if kinds <= allowed:
            return pd.Series(values, index=index, dtype=kind)
    texts = [value if isinstance(value, str) or value is None else json.dumps(value) for value in values]
    return pd.Series([None if text is None else encodable(text) for text in texts], index=index, dtype="string")
