"""Cards as Markdown tables: one for each setting, means over seeds."""

from collections.abc import Sequence
from statistics import mean, stdev
from typing import get_args

from aach_lightning.evaluation.card import REFERENCE, Card
from aach_lightning.evaluation.result import Needs
from aach_lightning.reports.summary import half_width

_HEAD = (
    "method",
    "needs",
    "pairs",
    "an item",
    "I→T MAP",
    "of bound",
    "T→I MAP",
    "of bound",
    "RMS",
    "PSNR",
    "seconds",
    "seeds",
)


def markdown(cards: Sequence[Card]) -> str:
    """All settings, one table each, in the order in which they come.

    Args:
        cards: With shares. MAP is the mean over seeds, with half the width of its 95 % interval (Student's t) behind it
            where there are two or more.
    """
    settings = list(dict.fromkeys(tuple(card.setting.items()) for card in cards))
    return "\n".join(_table([card for card in cards if tuple(card.setting.items()) == it]) for it in settings)


def _table(cards: Sequence[Card]) -> str:
    first = cards[0]
    chance = {card.row.direction: card.chance for card in cards}
    title = ", ".join(f"{key}={value}" for key, value in first.setting.items()) or "one setting"
    lines = [
        f"## {title}",
        "",
        f"{first.data['name']}, {first.data['attacked']} attacked queries, {first.target['name'].upper()} "
        f"{first.target['code_length']} bits, ε {first.epsilon:g}/255 on images and {first.text_epsilon:g} on texts, "
        f"chance {' and '.join(f'{value:.3f} ({name})' for name, value in sorted(chance.items()))}. {first.hardware}.",
        "",
        "| " + " | ".join(_HEAD) + " |",
        "|" + "---|" * 2 + "---:|" * (len(_HEAD) - 2),
    ]
    rows = [_cells([card for card in cards if card.method == method], cards) for method in _ordered(cards)]
    return "\n".join([*lines, *("| " + " | ".join(cells) + " |" for cells in rows), ""])


def _ordered(cards: Sequence[Card]) -> list[str]:
    """References first, then by what is needed, then as they come."""
    rank = {"clean": 0, "noise": 1}
    needs = get_args(Needs)
    place = {card.method: rank.get(card.method, len(rank) + needs.index(card.row.needs)) for card in cards}
    return sorted(place, key=lambda method: place[method])


def _cells(cards: Sequence[Card], everyone: Sequence[Card]) -> list[str]:
    sides = {name: [card for card in cards if card.row.direction == name] for name in ("I2T", "T2I")}
    row, images = cards[0].row, sides["I2T"]
    needs = row.needs + (", labels" if row.labels else "")
    items = mean(card.row.items_queried / card.data["attacked"] for card in cards)
    psnr = [card.row.psnr for card in images if card.row.psnr is not None]
    return [
        cards[0].method,
        needs,
        f"{row.pairs_queried:,}" if row.pairs_queried else "0",
        f"{items:g}",
        _interval([card.row.map for card in images]),
        _share(images, everyone),
        _interval([card.row.map for card in sides["T2I"]]),
        _share(sides["T2I"], everyone),
        f"{mean(card.row.rms for card in images):.4f}" if images else "",
        f"{mean(psnr):.1f}" if psnr else "",
        _seconds(cards),
        str(len({card.seed for card in cards})),
    ]


def _seconds(cards: Sequence[Card]) -> str:
    """Mean over the runs that crafted something; others have found it in the store."""
    worked = [card.seconds for card in cards if card.seconds >= 0.05]
    return f"{mean(worked):.1f}" if worked else ""


def _interval(values: Sequence[float]) -> str:
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{mean(values):.3f} ± {float(half_width(stdev(values), len(values))):.3f}"


def _share(cards: Sequence[Card], everyone: Sequence[Card]) -> str:
    """Mean drop over the mean drop of the white-box reference."""
    if not cards or cards[0].row.query == "clean":
        return ""
    direction = cards[0].row.direction
    bounds = [it.row.drop for it in everyone if it.row.query == REFERENCE and it.row.direction == direction]
    bound = mean(bounds) if bounds else 0.0
    return f"{mean(card.row.drop for card in cards) / bound:.0%}" if bound > 0 else ""
