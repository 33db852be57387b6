"""What was spent, and what an attacker and a system have become: tables over runs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from aach_lightning.evaluation.card import Card
from aach_lightning.reports.collect import Collection
from aach_lightning.reports.frame import flatten
from aach_lightning.reports.measurements import WORKED
from aach_lightning.reports.sheet import Column, Sheet, make_sheet

Names = Mapping[str, tuple[str, str]]
_AGREEMENT = {
    "bit_agreement_image": Column("images", ".3f", "equal bits"),
    "bit_agreement_text": Column("texts", ".3f", "equal bits"),
    "distance_spearman": Column("Spearman of distances", ".3f"),
    "map_i2t": Column("image→text", ".3f", "own MAP"),
    "map_t2i": Column("text→image", ".3f", "own MAP"),
    "target_map_i2t": Column("image→text", ".3f", "target's MAP"),
    "target_map_t2i": Column("text→image", ".3f", "target's MAP"),
}
_SPENT = {
    "budget_pairs": Column("budget M, pairs", ",.0f"),
    "spent_pairs": Column("pairs paid", ",.0f"),
    "spent_items": Column("single codes paid", ",.0f"),
    "evaluation_items": Column("sent to measure", ",.0f"),
}


def stage_sheet(found: Collection) -> Sheet:
    """Seconds and memory of each stage."""
    costs = [
        {"stage": name.replace("_", " "), "seconds": cost.get("seconds", 0.0), "memory": cost.get("peak_memory_mib", 0)}
        for _, result in found.results.values()
        for name, cost in result.stages.items()
    ]
    table = pd.DataFrame(costs, columns=["stage", "seconds", "memory"])
    table["worked"] = table["seconds"].where(table["seconds"] >= WORKED)
    stages = table.groupby("stage", sort=False)
    columns: dict[Column, Iterable[object]] = {
        Column("stage"): table["stage"].unique(),
        Column("times", "d"): stages["worked"].count(),
        Column("mean seconds", ",.1f"): stages["worked"].mean(),
        Column("most seconds", ",.1f"): stages["worked"].max(),
        Column("seconds in all", ",.0f"): stages["seconds"].sum(),
        Column("peak memory, MiB", ",.0f"): stages["memory"].max(),
    }
    note = "A stage that was found finished in the store takes no time and does not count. Memory is of the process."
    return make_sheet("Stages", note, columns)


def query_sheet(found: Collection, names: Names) -> Sheet:
    """What attackers were allowed and paid, and what measuring took."""
    means = _means(found, names, "queries", _SPENT)
    columns = {Column("attacker"): means["label"], Column("system"): means["place"]}
    note = (
        "Means over runs. What is sent to measure goes through a door of its own: no attacker sees the answers, and "
        "nobody pays for them."
    )
    return make_sheet("Queries", note, columns | {column: means[name] for name, column in _SPENT.items()})


def surrogate_sheet(found: Collection, names: Names) -> Sheet | None:
    """How much surrogates answer like the target on pairs that were never queried; None where there is none."""
    means = _means(found, names, "surrogate", _AGREEMENT)
    means = means[means["told"] > 0]
    columns = {Column("attacker"): means["label"], Column("M", ",d"): means["budget"]}
    columns |= {column: means[name] for name, column in _AGREEMENT.items()}
    note = "Means over runs, on held-out pairs that were never queried. Equal bits of 0.5 are chance."
    return (
        None
        if means.empty
        else make_sheet("Surrogate and target", note, columns | {Column("runs", "d"): means["runs"]})
    )


def _means(found: Collection, names: Names, field: str, parts: Mapping[str, Column]) -> pd.DataFrame:
    """Means of a part of the results over the runs of each attacker, place and budget."""
    rows = []
    for key, (place, label) in names.items():
        own = getattr(found.results[key][1], field)
        values = {name: own.get(name) for name in parts}
        told = bool(own)
        rows.append(
            {"label": label, "place": place, "budget": found.configs[key]["budget.pairs"], **values, "told": told}
        )
    table = pd.DataFrame(rows, columns=["label", "place", "budget", *parts, "told"])
    groups = table.astype(dict.fromkeys(parts, "float64")).groupby(["label", "place", "budget"], sort=False)
    return groups.mean().assign(runs=groups.size()).reset_index()


def target_sheet(found: Collection, names: Names) -> Sheet | None:
    """What the systems under attack say of themselves; None where none does."""
    reports: dict[str, tuple[str, dict[str, Any]]] = {}
    for key, (_, result) in found.results.items():
        if report := flatten(result.target):
            reports.setdefault(str(sorted(report.items())), (names[key][0], report))
    measures = list(dict.fromkeys(part for _, report in reports.values() for part in report))
    columns: dict[Column, Sequence[object]] = {Column("system"): [place for place, _ in reports.values()]}
    for part in measures:
        head = part.replace("_", " ").replace(".", " ")
        columns[Column(head, "auto")] = [report.get(part) for _, report in reports.values()]
    note = (
        "Of the target's training, on its own validation queries. Bit balance: mean share of the rarer sign of a bit; "
        "0.5 is best. Few distinct codes, or a MAP near chance, mean a collapsed system."
    )
    return make_sheet("Systems under attack", note, columns) if reports else None


def crafting_sheet(cards: Sequence[Card]) -> Sheet | None:
    """Seconds that the methods of a benchmark took to craft; None where there are no cards."""
    rows = [
        (card.method, card.hardware, card.row.direction, card.seconds)
        for card in cards
        if card.row.query == "attack" and card.seconds >= WORKED
    ]
    table = pd.DataFrame(rows, columns=["method", "hardware", "direction", "seconds"])
    means = table.groupby(["method", "hardware", "direction"])["seconds"].mean().unstack("direction")
    means = means.reindex(columns=["I2T", "T2I"])
    columns = {
        Column("method"): means.index.get_level_values("method"),
        Column("images", ",.1f", "seconds"): means["I2T"],
        Column("texts", ",.1f", "seconds"): means["T2I"],
        Column("cards", "d"): table.groupby(["method", "hardware"]).size(),
        Column("hardware"): means.index.get_level_values("hardware"),
    }
    note = "Mean seconds to craft the changes of all attacked items; a surrogate that methods share does not count."
    return make_sheet("Crafting", note, columns) if rows else None
