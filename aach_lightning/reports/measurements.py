"""Runs and benchmark cards as one table: a row for each MAP, and what it may be compared with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from aach_lightning.evaluation.card import Card
from aach_lightning.evaluation.result import Result, Row
from aach_lightning.reports.collect import Collection
from aach_lightning.reports.frame import flatten
from aach_lightning.reports.summary import block_keys, named
from aach_lightning.reports.text import printable

COLUMNS = (
    "place",  # data set and system under attack
    "epsilon",
    "text_epsilon",
    "direction",
    "query",  # clean, noise, edits (noise of edited texts), attack, white_box, chance
    "label",  # name of the attacker
    "replicate",
    "budget",  # M that was allowed
    "pairs",  # paid for
    "items",  # codes paid for, of each attacked item
    "needs",
    "map",
    "drop",
    "bound",  # drop of the white-box bound at the same place
    "distance",
    "rms",
    "psnr",
    "ssim",
    "seconds",  # to craft the changes
)
BOUND = "white-box bound"
REFERENCES = {
    "clean": "clean queries",
    "noise": "random noise",
    "edits": "random edits",
    "white_box": BOUND,
    "chance": "chance",
}
_ATTACKER = ("attack.", "budget.", "mining.", "surrogate.")  # keys that describe the attacker, not what is attacked
_SAID = ("attack.name", "target.name", "target.code_length", "target.defence", "target.adversarial", "data.name")
_AXES = ("budget.pairs", "attack.epsilon", "attack.text_epsilon")
_NUMBERS = ("map", "drop", "distance", "rms", "psnr", "ssim")
_FEW = 2
_UNSET = " not set"
_WORKED = 0.05  # seconds: what is faster was found in the store


def measurements(found: Collection, cards: Sequence[Card], over: Sequence[str] = ("seed",)) -> pd.DataFrame:
    """Everything that was measured; a row that a card and a run share counts once.

    Args:
        found: Of `reports.collect.collect`; may be empty.
        cards: Of benchmarks.
        over: Keys of the configuration whose combinations are the replicates of runs; cards know seeds alone.

    Returns:
        A row for each MAP, chance included, with `COLUMNS`.
    """
    rows = [*_of_cards(cards), *_of_runs(found, cards, over)]
    table = pd.DataFrame.from_records(rows, columns=list(COLUMNS))
    kinds: dict[str, str] = dict.fromkeys(
        ("epsilon", "text_epsilon", "items", "bound", "seconds", *_NUMBERS), "float64"
    )
    table = table.astype(kinds)
    table["bound"] = table["bound"].fillna(_bounds_nearby(table))
    return table


def system(flat: Mapping[str, Any]) -> str:
    """The system under attack in words, from a flat configuration.

    Example:
        >>> system({"target.name": "dcmh", "target.code_length": 32, "target.adversarial.method": "cmla"})
        'DCMH 32 bits, hardened by CMLA'
    """
    words = f"{str(flat.get('target.name')).upper()} {flat.get('target.code_length')} bits"
    if (method := flat.get("target.adversarial.method", "none")) != "none":
        words += f", hardened by {str(method).upper()}"
    kind = str(flat.get("target.defence._target_", "")).rpartition(".")[2]
    if kind not in ("", "Identity"):
        start = "target.defence."
        values = [f"{key.removeprefix(start)}={value}" for key, value in flat.items() if key.startswith(start)]
        words += f", behind {kind}({', '.join(value for value in values if not value.startswith('_target_'))})"
    return words


def _of_cards(cards: Sequence[Card]) -> list[dict[str, Any]]:
    flats = [flatten(card.target, "target.") for card in cards]
    systems = {(card.data["name"], system(flat)) for card, flat in zip(cards, flats, strict=True)}
    # one description, several splits or recipes: they may not be compared
    several = {
        words: {
            (card.data["split_hash"], str(card.target))
            for card, flat in zip(cards, flats, strict=True)
            if (card.data["name"], system(flat)) == words
        }
        for words in systems
    }
    rows = []
    for card, flat in zip(cards, flats, strict=True):
        words = (card.data["name"], system(flat))
        further = [f"{key}={value}" for key, value in card.setting.items() if key not in _AXES]
        if len(several[words]) > 1:
            number = sorted(several[words]).index((card.data["split_hash"], str(card.target))) + 1
            further.append(f"split {str(card.data['split_hash'])[:8]}, variant {number}")
        shared = {
            "place": printable(", ".join([f"{words[0]}: {words[1]}", *further])),
            "epsilon": card.epsilon,
            "text_epsilon": card.text_epsilon,
            "direction": card.row.direction,
            "replicate": f"seed={card.seed}",
            "budget": card.budget_pairs,
        }
        row = {**shared, **_numbers(card.row, card.data.get("attacked"))}
        label = REFERENCES.get(_kind(card.row), card.method)
        rows.append({**row, "label": printable(label), "seconds": card.seconds if card.seconds >= _WORKED else None})
        rows.append({**shared, **_chance(card.chance)})
    return rows


def names_of_runs(found: Collection, cards: Sequence[Card], over: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Place (data set and system) and attacker of each run.

    An attacker has the name of its card, where there is one; else of its attack, with what sets it apart: every key of
    up to `_FEW` that vary beside M, epsilon and `over`, or of many those that have not their most common value.
    """
    if found.frame.empty:
        return {}
    runs = found.frame.drop_duplicates("run").reset_index(drop=True)
    columns = [name for name in block_keys(found.frame, over) if not _key(name).startswith(_SAID)]
    texts = {name: named(name, runs[name]) for name in columns}
    further = [name for name in columns if not _key(name).startswith(_ATTACKER)]
    own = [name for name in columns if name not in further]
    usual = {name: max(texts[name], key=texts[name].count) if len(own) > _FEW else None for name in own}
    methods = {_content(card): card.method for card in cards if card.row.query == "attack"}
    names = {}
    for number, key in enumerate(runs["run"]):
        flat, result = found.configs[key], found.results[key][1]
        parts = [texts[name][number] for name in own if texts[name][number] != usual[name]]
        parts = [part for part in parts if not part.endswith(_UNSET)] or parts
        label = ", ".join([str(flat.get("attack.name")).upper(), *parts])
        label = next((methods[it] for it in _contents(result) if it in methods), label)
        place = ", ".join([f"{result.data.get('name')}: {system(flat)}", *(texts[name][number] for name in further)])
        names[key] = (printable(place), printable(label))
    return names


def _of_runs(found: Collection, cards: Sequence[Card], over: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    told = {_content(card) for card in cards}
    for key, (place, name) in names_of_runs(found, cards, over).items():
        result, flat = found.results[key][1], found.configs[key]
        bounds = {row.direction: row.drop for row in result.rows if row.query == "white_box"}
        shared = {
            "place": place,
            "epsilon": flat["attack.epsilon"],
            "text_epsilon": flat["attack.text_epsilon"],
            "replicate": ", ".join(f"{part}={flat.get(part)}" for part in over),
            "budget": flat["budget.pairs"],
        }
        for row, content in zip(result.rows, _contents(result), strict=True):
            if content in told:
                continue
            label = REFERENCES.get(_kind(row), name)
            half = "image" if row.direction == "I2T" else "text"
            seconds = result.stages.get(f"{row.query} {half}", {}).get("seconds", 0.0)
            rows.append(
                {
                    **shared,
                    **_numbers(row, result.data.get("attacked")),
                    "direction": row.direction,
                    "label": label,
                    "bound": bounds.get(row.direction),
                    "seconds": seconds if seconds >= _WORKED else None,
                }
            )
        rows += [
            {**shared, "direction": direction, **_chance(chance)}
            for direction, chance in result.chance.items()
            if direction in {row.direction for row in result.rows}
        ]
    return rows


def _kind(row: Row) -> str:
    """Kind of a row; random edits of words are another noise than random signs."""
    return "edits" if row.query == "noise" and row.words is not None else row.query


def _numbers(row: Row, attacked: Any) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in _NUMBERS},
        "query": _kind(row),
        "pairs": row.pairs_queried,
        "items": row.items_queried / attacked if isinstance(attacked, int) and attacked > 0 else np.nan,
        "needs": row.needs + (", labels" if row.labels else ""),
    }


def _chance(value: float) -> dict[str, Any]:
    return {"query": "chance", "label": REFERENCES["chance"], "map": value, "pairs": 0, "needs": ""}


def _content(card: Card) -> Any:
    return card.seed, card.data.get("split_hash"), card.budget_pairs, _row_content(card.row)


def _contents(result: Result) -> list[Any]:
    """Of each row, as `_content`."""
    place = (result.seed, result.data.get("split_hash"), result.config["budget"]["pairs"])
    return [(*place, _row_content(row)) for row in result.rows]


def _row_content(row: Row) -> Any:
    """Equal for a row of a result and the card of it; the share is told anew by a benchmark."""
    return row.direction, row.query, row.map, row.distance, row.linf, row.rms, row.pairs_queried, row.needs


def _key(column: str) -> str:
    return column.removeprefix("config.")


def _bounds_nearby(table: pd.DataFrame) -> "pd.Series[float]":
    """Drop of the white-box bound that another run has measured with the same data, bounds, budget and replicate."""
    place = ["place", "epsilon", "text_epsilon", "direction", "replicate", "budget"]
    bounds = table[table["query"] == "white_box"].groupby(place)["drop"].mean().rename("near")
    return table.merge(bounds, left_on=place, right_index=True, how="left")["near"]
