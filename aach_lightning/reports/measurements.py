"""Runs and benchmark cards as one long table: a row for each MAP, and what it may be compared with."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from aach_lightning.evaluation.card import Card
from aach_lightning.evaluation.result import Result, Row
from aach_lightning.reports.aggregate import aggregate, with_chance
from aach_lightning.reports.collect import Collection
from aach_lightning.reports.frame import flatten
from aach_lightning.reports.naming import AXES, name_runs, system
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
    "seconds",  # to craft the changes; missing where they were found in the store
    "run",  # rows of one measurement have one
    "chance",
)
BOUND = "white-box bound"
REFERENCES = {
    "clean": "clean queries",
    "noise": "random noise",
    "edits": "random edits",
    "white_box": BOUND,
    "chance": "chance",
}
SETTING = ["place", "epsilon", "text_epsilon"]
WORKED = 0.05  # seconds: what is faster was found in the store
_NUMBERS = ("map", "drop", "distance", "rms", "psnr", "ssim")
_MEANS = ("drop", "bound", "distance", "rms", "psnr", "ssim", "seconds", "items")
_CONDITION = [*SETTING, "direction", "query", "label", "paid"]


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
    table = table.astype(dict.fromkeys(("epsilon", "text_epsilon", "map", "chance", *_MEANS), "float64"))
    table = with_chance(table)
    chance = table["query"] == "chance"
    table.loc[chance, list(_MEANS)] = np.nan
    table = table.assign(
        label=table["query"].map(REFERENCES).fillna(table["label"]),
        needs=table["needs"].mask(chance, ""),
        pairs=table["pairs"].mask(chance, 0).astype("int64"),
    )
    # the drop of the bound that another run has measured with the same data, bounds, budget and replicate
    place = [*SETTING, "direction", "replicate", "budget"]
    bounds = table[table["query"] == "white_box"].groupby(place)["drop"].mean().rename("near")
    near = table.merge(bounds, left_on=place, right_index=True, how="left")["near"]
    return table.assign(bound=table["bound"].fillna(near))


def conditions(table: pd.DataFrame) -> pd.DataFrame:
    """Means over replicates.

    Args:
        table: Of `measurements`.

    Returns:
        A row for each setting (`SETTING`), direction, query, label and pairs `paid` (attacks that paid pairs; 0 for all
        other rows, which are averaged over the budgets within each replicate first): what `aggregate` gives, `needs`,
        and `share`, the drop as a share of the white-box drop.
    """
    table = table.assign(paid=table["pairs"].where(table["query"] == "attack", 0))
    cells = aggregate(table, _CONDITION, _MEANS)
    needs = table.groupby(_CONDITION, as_index=False)["needs"].first()
    # ratio of means, as in the tables of a benchmark: a mean of ratios is ruled by the smallest bound
    share = (cells["drop"] / cells["bound"]).where(cells["bound"] > 0)
    return cells.assign(share=share).merge(needs, on=_CONDITION, how="left")


def names_of_runs(found: Collection, cards: Sequence[Card], over: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Place and attacker of each run, as `naming.name_runs`; the name of its card goes first, where there is one."""
    methods = {_content_of_card(card): card.method for card in cards if card.row.query == "attack"}
    names = {}
    for key, (place, label) in name_runs(found.frame, found.configs, over).items():
        contents = _contents(found.results[key][1])
        label = next((methods[content] for content in contents if content in methods), label)
        names[key] = (printable(place), printable(label))
    return names


def _of_cards(cards: Sequence[Card]) -> list[dict[str, Any]]:
    systems = [(card.data["name"], system(flatten(card.target, "target."))) for card in cards]
    recipes = [(card.data["split_hash"], str(card.target)) for card in cards]
    # one description, several splits or recipes: they may not be compared
    several: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for words, recipe in zip(systems, recipes, strict=True):
        several.setdefault(words, set()).add(recipe)
    rows = []
    for number, (card, words, recipe) in enumerate(zip(cards, systems, recipes, strict=True)):
        further = [f"{key}={value}" for key, value in card.setting.items() if key not in AXES]
        if len(several[words]) > 1:
            further.append(f"split {recipe[0][:8]}, variant {sorted(several[words]).index(recipe) + 1}")
        rows.append(
            {
                **measured(card.row, card.data.get("attacked"), card.seconds),
                "run": f"card {number}",
                "place": printable(", ".join([f"{words[0]}: {words[1]}", *further])),
                "label": printable(card.method),
                "epsilon": card.epsilon,
                "text_epsilon": card.text_epsilon,
                "replicate": f"seed={card.seed}",
                "budget": card.budget_pairs,
                "chance": card.chance,
            }
        )
    return rows


def _of_runs(found: Collection, cards: Sequence[Card], over: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    told = {_content_of_card(card) for card in cards}
    for key, (place, label) in names_of_runs(found, cards, over).items():
        result, flat = found.results[key][1], found.configs[key]
        bounds = {row.direction: row.drop for row in result.rows if row.query == "white_box"}
        for row, content in zip(result.rows, _contents(result), strict=True):
            if content in told:
                continue
            stage = f"{row.query} {'image' if row.direction == 'I2T' else 'text'}"
            rows.append(
                {
                    **measured(row, result.data.get("attacked"), result.stages.get(stage, {}).get("seconds", 0.0)),
                    "run": key,
                    "place": place,
                    "label": label,
                    "epsilon": flat["attack.epsilon"],
                    "text_epsilon": flat["attack.text_epsilon"],
                    "replicate": ", ".join(f"{part}={flat.get(part)}" for part in over),
                    "budget": flat["budget.pairs"],
                    "chance": result.chance.get(row.direction),
                    "bound": bounds.get(row.direction),
                }
            )
    return rows


def measured(row: Row, attacked: Any, seconds: float) -> dict[str, Any]:
    """What a row says of itself; random edits of words are another noise than random signs.

    Args:
        row: Of a result or a card.
        attacked: Number of attacked items.
        seconds: That crafting took.
    """
    return {
        **{name: getattr(row, name) for name in _NUMBERS},
        "direction": row.direction,
        "query": "edits" if row.query == "noise" and row.words is not None else row.query,
        "pairs": row.pairs_queried,
        "items": row.items_queried / attacked if isinstance(attacked, int) and attacked > 0 else np.nan,
        "needs": row.needs + (", labels" if row.labels else ""),
        "seconds": seconds if seconds >= WORKED else None,
    }


def _content_of_card(card: Card) -> Any:
    return card.seed, card.data.get("split_hash"), card.budget_pairs, _content(card.row)


def _contents(result: Result) -> list[Any]:
    """Of each row, as `_content_of_card`."""
    place = (result.seed, result.data.get("split_hash"), result.config["budget"]["pairs"])
    return [(*place, _content(row)) for row in result.rows]


def _content(row: Row) -> Any:
    """Equal for a row of a result and the card of it; the share is told anew by a benchmark."""
    return row.direction, row.query, row.map, row.distance, row.linf, row.rms, row.pairs_queried, row.needs
