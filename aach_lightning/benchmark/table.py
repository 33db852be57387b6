"""Cards as Markdown tables: one for each setting, means over seeds."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from aach_lightning.evaluation.card import REFERENCE, Card
from aach_lightning.reports.aggregate import aggregate
from aach_lightning.reports.headline import by_need
from aach_lightning.reports.measurements import measured
from aach_lightning.reports.sheet import Column, Sheet, interval, make_sheet
from aach_lightning.reports.sheet import markdown as as_markdown
from aach_lightning.reports.table import DIRECTIONS

_FIRST = {"clean": -2, "noise": -1}


def markdown(cards: Sequence[Card]) -> str:
    """All settings, one table each, in the order in which they come.

    Args:
        cards: MAP is the mean over seeds, with half the width of its 95 % interval (Student's t) behind it where there
            are two or more.
    """
    settings: dict[tuple[tuple[str, str], ...], list[Card]] = {}
    for card in cards:
        settings.setdefault(tuple(card.setting.items()), []).append(card)
    return as_markdown([_sheet(own) for own in settings.values()])


def _sheet(cards: Sequence[Card]) -> Sheet:
    first = cards[0]
    chance = {card.row.direction: card.chance for card in cards}
    title = ", ".join(f"{key}={value}" for key, value in first.setting.items()) or "one setting"
    note = (
        f"{first.data['name']}, {first.data['attacked']} attacked queries, {first.target['name'].upper()} "
        f"{first.target['code_length']} bits, ε {first.epsilon:g}/255 on images and {first.text_epsilon:g} on texts, "
        f"chance {' and '.join(f'{value:.3f} ({name})' for name, value in sorted(chance.items()))}. {first.hardware}."
    )
    rows = [measured(card.row, card.data["attacked"], card.seconds) for card in cards]
    names = [{"method": card.method, "kind": card.row.query, "replicate": card.seed} for card in cards]
    table = pd.concat([pd.DataFrame(names), pd.DataFrame(rows)], axis=1).astype(
        dict.fromkeys(("psnr", "seconds"), float)
    )
    groups = table.groupby("method", sort=False)
    methods = groups.first().assign(items=groups["items"].mean(), seconds=groups["seconds"].mean())
    needs = by_need(methods["needs"].str.removesuffix(", labels"))
    # references first, then by what is needed, then as they come
    ranks = [_FIRST.get(kind, need) for kind, need in zip(methods["kind"], needs, strict=True)]
    methods = methods.assign(seeds=groups["replicate"].nunique(), rank=ranks)
    methods = methods.sort_values("rank", kind="stable")
    cells = aggregate(table, ["direction", "method"], ["drop", "rms", "psnr"]).set_index("direction")
    bounds = table[table["kind"] == REFERENCE].groupby("direction")["drop"].mean()
    columns: dict[Column, Iterable[object]] = {
        Column("method"): methods.index,
        Column("needs"): methods["needs"],
        Column("pairs", ",d"): methods["pairs"],
        Column("an item", "g"): methods["items"],
    }
    for direction, name in DIRECTIONS.items():
        own = cells[cells.index == direction].set_index("method").reindex(methods.index)
        bound = bounds.get(direction, 0.0)
        share = own["drop"] / bound if bound > 0 else own["drop"] * np.nan
        columns[Column("MAP", ".3f", name)] = map(interval, own["mean"], own["half"])
        columns[Column("of bound", ".0%", name)] = share.mask(methods["kind"] == "clean")
        if direction == "I2T":
            images = own
    columns |= {
        Column("RMS", ".4f"): images["rms"],
        Column("PSNR", ".1f"): images["psnr"],
        Column("seconds", ".1f"): methods["seconds"],
        Column("seeds", "d"): methods["seeds"],
    }
    return make_sheet(title, note, columns)
