"""Many cards, from anybody, in one table; what breaks its own claims stays out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from aach_lightning.errors import DataError
from aach_lightning.evaluation.card import Card
from aach_lightning.evaluation.claims import broken_claims
from aach_lightning.reports import collect
from aach_lightning.reports.aggregate import aggregate
from aach_lightning.reports.frame import flatten
from aach_lightning.reports.measurements import measured
from aach_lightning.reports.naming import defences
from aach_lightning.reports.page import Section, render
from aach_lightning.reports.sheet import Column, Sheet, interval, make_sheet, save_sheets
from aach_lightning.runtime.files import write_bytes

NAME = "leaderboard"
# Rows that agree in all of these are one row.
PLACE = {
    "data": Column("data"),
    "protocol": Column("protocol"),
    "target": Column("target"),
    "bits": Column("K", "d"),
    "defence": Column("defence"),
    "direction": Column("direction"),
    "attacked": Column("queries", ",d"),
    "method": Column("method"),
    "needs": Column("needs"),
    "pairs": Column("pairs", ",d"),
    "items": Column("an item", ",.4g"),
    "norm": Column("norm"),
    "epsilon": Column("ε", ".4g"),
}
MEASURED = {
    "drop": Column("drop", "+.3f"),
    "share": Column("of bound", ".0%"),
    "rms": Column("RMS", ".4f"),
    "psnr": Column("PSNR, dB", ".1f"),
}
ORDERS = ("map", "drop", "share", "pairs", "epsilon", "method", "target", "data")
IN_TERMINAL = ("data", "target", "K", "defence", "direction", "method", "pairs", "ε", "MAP", "of bound", "seeds")


@dataclass(frozen=True)
class Leaderboard:
    """What many cards say.

    Attributes:
        table: One row for each place of `PLACE`: means of MAP and of `MEASURED`, half the width `half` of the 95 %
            interval of MAP (NaN for one seed), and `seeds`; best attacks first within equal data, target and direction.
        rejected: Files that stay out, with the reason.
        repeated: Files that hold a card which counts already.
    """

    table: pd.DataFrame
    rejected: tuple[tuple[Path, str], ...]
    repeated: tuple[Path, ...]


def card_files(places: Sequence[Path]) -> list[Path]:
    """Card files: those named, those in the folders named, and in folders `cards` below these.

    Raises:
        DataError: If a place does not exist, or none has a card.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            found += [*sorted(place.glob("*.json")), *collect.card_files(place)]
        elif place.is_file():
            found.append(place)
        else:
            raise DataError(f"there is no {place}; give cards (JSON files), or folders of benchmarks")
    if not found:
        raise DataError(f"no card below {', '.join(map(str, places))}; the benchmark writes FOLDER/cards/*.json")
    return list(dict.fromkeys(found))


def make_leaderboard(paths: Sequence[Path], order: str = "map", split: str | None = None) -> Leaderboard:
    """Read, check and gather cards.

    Args:
        paths: Files.
        order: Column that sorts within equal data, target and direction; of `ORDERS`.
        split: Hash of the split that counts; None takes the most frequent one of each data set and protocol.

    Raises:
        DataError: If no card is left.
    """
    cards: dict[Path, Card] = {}
    rows: dict[Path, dict[str, Any]] = {}
    rejected: list[tuple[Path, str]] = []
    for path in paths:
        try:
            card = collect.load_card(path)
            if broken := broken_claims(card):
                raise DataError("; ".join(broken))
            rows[path] = _row(card)
            cards[path] = card
        except DataError as error:
            rejected.append((path, str(error)))
        except (KeyError, TypeError, ValueError) as error:
            rejected.append((path, f"target or data lack {error}"))
    splits: dict[tuple[str, str], Counter[str]] = {}
    for card in cards.values():
        splits.setdefault(_group(card), Counter())[str(card.data["split_hash"])] += 1
    repeated: list[Path] = []
    counted: dict[str, Path] = {}
    for path, card in cards.items():
        counts = splits[_group(card)]
        wanted = split or max(sorted(counts), key=lambda name: counts[name])
        if card.data["split_hash"] != wanted:
            reason = f"split {card.data['split_hash']}, this table compares {wanted} on {card.data['name']}"
            rejected.append((path, reason))
        elif counted.setdefault(card.name, path) != path:
            repeated.append(path)
    if not counted:
        reasons = "\n".join(f"  - {path}: {reason}" for path, reason in rejected)
        raise DataError(f"no card is left of {len(paths)}:\n{reasons}")
    return Leaderboard(_gather([rows[path] for path in counted.values()], order), tuple(rejected), tuple(repeated))


def _group(card: Card) -> tuple[str, str]:
    return str(card.data["name"]), str(card.data["protocol"])


def _row(card: Card) -> dict[str, Any]:
    row, target, data = card.row, card.target, card.data
    bound = {"I2T": card.epsilon, "T2I": card.text_epsilon}[row.direction]
    return {
        **measured(row, int(data["attacked"]), card.seconds),
        "data": str(data["name"]),
        "protocol": str(data["protocol"]),
        "target": str(target["name"]),
        "bits": int(target["code_length"]),
        "defence": ", ".join(defences(flatten(target, "target."))) or "none",
        "attacked": int(data["attacked"]),
        "method": card.method,
        "norm": card.norm if row.words is None else "words",
        "epsilon": 0.0 if row.query == "clean" else bound if row.words is None else row.epsilon,
        "share": row.share_of_white_box,
        "replicate": card.seed,
    }


def _gather(rows: Sequence[dict[str, Any]], order: str) -> pd.DataFrame:
    frame = pd.DataFrame(rows).astype(dict.fromkeys(MEASURED, "float64"))
    # a text card comes once for each epsilon on images: one seed is one value
    table = aggregate(frame, list(PLACE), list(MEASURED)).rename(columns={"mean": "map", "n": "seeds"})
    together = [name for name in ("data", "protocol", "target", "bits", "defence", "direction") if name != order]
    by = list(dict.fromkeys([*together, order, *PLACE]))
    ascending = [name != order or order not in ("drop", "share") for name in by]
    return table.sort_values(by, ascending=ascending, ignore_index=True)


def leaderboard_sheet(board: Leaderboard) -> Sheet:
    """The one table."""
    table = board.table
    return make_sheet(
        "Leaderboard",
        "MAP of the attacked target: lower is stronger; mean ± half of the 95 % interval (Student) over seeds. "
        "Of bound: drop as a share of the white-box drop in that benchmark. ε: 1/255 on images, units of an entry on "
        "texts, words where texts are edited.",
        {
            **{column: table[name] for name, column in PLACE.items()},
            Column("MAP", ".3f"): map(interval, table["map"], table["half"]),
            **{column: table[name] for name, column in MEASURED.items()},
            Column("seeds", "d"): table["seeds"],
        },
    )


def save_leaderboard(board: Leaderboard, to: Path) -> Path:
    """Write leaderboard.html, .md, .tex and .csv, all of the same rows; the page says what stays out, and why."""
    sheet = leaderboard_sheet(board)
    save_sheets([sheet], NAME, to)
    lines = tuple(f"{path.name}: {reason}" for path, reason in board.rejected)
    sections = [Section("results", "Results", sheets=(sheet,))]
    if lines:
        sections.append(Section("rejected", "Cards that stay out", intro="They break their own claims.", lines=lines))
    facts = (f"{len(board.table):,} rows", f"{len(board.rejected):,} cards rejected")
    write_bytes(to / f"{NAME}.html", render("Leaderboard", sections, facts))
    return to / f"{NAME}.html"
