"""What was spent, and what an attacker and a system have become: tables over runs."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from aach_lightning.evaluation.card import Card
from aach_lightning.reports.collect import Collection
from aach_lightning.reports.frame import flatten
from aach_lightning.reports.sheet import Cell, Column, Sheet, number, words
from aach_lightning.reports.text import printable

Names = Mapping[str, tuple[str, str]]
_WORKED = 0.05  # seconds: what is faster was found in the store
_AGREEMENT = {
    "bit_agreement_image": ("equal bits", "images"),
    "bit_agreement_text": ("equal bits", "texts"),
    "distance_spearman": ("", "Spearman of distances"),
    "map_i2t": ("own MAP", "image→text"),
    "map_t2i": ("own MAP", "text→image"),
    "target_map_i2t": ("target's MAP", "image→text"),
    "target_map_t2i": ("target's MAP", "text→image"),
}
_SPENT = {
    "budget_pairs": "budget M, pairs",
    "spent_pairs": "pairs paid",
    "spent_items": "single codes paid",
    "evaluation_items": "sent to measure",
}


def stage_sheet(found: Collection) -> Sheet:
    """Seconds and memory of each stage."""
    stages: dict[str, list[Mapping[str, float]]] = {}
    for _, result in found.results.values():
        for name, cost in result.stages.items():
            stages.setdefault(name, []).append(cost)
    rows = []
    for name, costs in stages.items():
        seconds = [cost.get("seconds", 0.0) for cost in costs]
        worked = [value for value in seconds if value >= _WORKED]
        rows.append(
            (
                words(printable(name.replace("_", " "))),
                number(len(worked), "d"),
                number(mean(worked) if worked else None, ",.1f"),
                number(max(worked, default=None), ",.1f"),
                number(sum(seconds), ",.0f"),
                number(max(cost.get("peak_memory_mib", 0.0) for cost in costs), ",.0f"),
            )
        )
    columns = ("times", "mean seconds", "most seconds", "seconds in all", "peak memory, MiB")
    note = "A stage that was found finished in the store takes no time and does not count. Memory is of the process."
    return Sheet("Stages", note, (Column("stage", number=False), *map(Column, columns)), tuple(rows))


def query_sheet(found: Collection, names: Names) -> Sheet:
    """What attackers were allowed and paid, and what measuring took."""
    rows = [
        (words(label), words(place), *(_mean(found, keys, "queries", part, ",.0f") for part in _SPENT))
        for (label, place, _), keys in _groups(found, names).items()
    ]
    columns = (Column("attacker", number=False), Column("system", number=False), *map(Column, _SPENT.values()))
    note = (
        "Means over runs. What is sent to measure goes through a door of its own: no attacker sees the answers, and "
        "nobody pays for them."
    )
    return Sheet("Queries", note, columns, tuple(rows))


def surrogate_sheet(found: Collection, names: Names) -> Sheet | None:
    """How much surrogates answer like the target on pairs that were never queried; None where there is none."""
    rows = [
        (
            words(label),
            number(budget, ",d"),
            *(_mean(found, keys, "surrogate", part, ".3f") for part in _AGREEMENT),
            number(len(keys), "d"),
        )
        for (label, _, budget), keys in _groups(found, names).items()
        if any(found.results[key][1].surrogate for key in keys)
    ]
    columns = (
        Column("attacker", number=False),
        Column("M"),
        *(Column(name, group) for group, name in _AGREEMENT.values()),
        Column("runs"),
    )
    note = "Means over runs, on held-out pairs that were never queried. Equal bits of 0.5 are chance."
    return Sheet("Surrogate and target", note, columns, tuple(rows)) if rows else None


def target_sheet(found: Collection, names: Names) -> Sheet | None:
    """What the systems under attack say of themselves."""
    reports: dict[str, tuple[str, dict[str, Any]]] = {}
    for key, (_, result) in found.results.items():
        report = flatten(result.target)
        if report:
            reports.setdefault(str(sorted(report.items())), (names[key][0], report))
    measures = list(dict.fromkeys(part for _, report in reports.values() for part in report))
    rows = [(words(place), *(_any(report.get(part)) for part in measures)) for place, report in reports.values()]
    heads = tuple(Column(printable(part.replace("_", " ").replace(".", " "))) for part in measures)
    note = (
        "Of the target's training, on its own validation queries. Bit balance: mean share of the rarer sign of a bit; "
        "0.5 is best. Few distinct codes, or a MAP near chance, mean a collapsed system."
    )
    return Sheet("Systems under attack", note, (Column("system", number=False), *heads), tuple(rows)) if rows else None


def crafting_sheet(cards: Sequence[Card]) -> Sheet | None:
    """Seconds that the methods of a benchmark took to craft; None where there are no cards."""
    groups: dict[tuple[str, str], list[Card]] = {}
    for card in cards:
        if card.row.query == "attack" and card.seconds >= _WORKED:
            groups.setdefault((card.method, card.hardware), []).append(card)
    rows = [
        (
            words(printable(method)),
            *(_seconds([it for it in own if it.row.direction == direction]) for direction in ("I2T", "T2I")),
            number(len(own), "d"),
            words(printable(hardware)),
        )
        for (method, hardware), own in sorted(groups.items())
    ]
    columns = (
        Column("method", number=False),
        Column("images", "seconds"),
        Column("texts", "seconds"),
        Column("cards"),
        Column("hardware", number=False),
    )
    note = "Mean seconds to craft the changes of all attacked items; a surrogate that methods share does not count."
    return Sheet("Crafting", note, columns, tuple(rows)) if rows else None


def _groups(found: Collection, names: Names) -> dict[tuple[str, str, int], list[str]]:
    """Runs by attacker, place and budget, in the order in which they come."""
    groups: dict[tuple[str, str, int], list[str]] = {}
    for key, (place, label) in names.items():
        groups.setdefault((label, place, int(found.configs[key]["budget.pairs"])), []).append(key)
    return groups


def _mean(found: Collection, keys: Sequence[str], field: str, part: str, form: str) -> Cell:
    values = [getattr(found.results[key][1], field).get(part) for key in keys]
    known = [value for value in values if value is not None]
    return number(mean(known), form) if known else Cell("")


def _seconds(cards: Sequence[Card]) -> Cell:
    return number(mean(card.seconds for card in cards), ",.1f") if cards else Cell("")


def _any(value: Any) -> Cell:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value, ",d" if isinstance(value, int) else ".3f")
    return words("" if value is None else printable(str(value)))
