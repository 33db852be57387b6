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
from aach_lightning.reports.collect import check_file
from aach_lightning.reports.summary import half_width

LARGEST = 2**20  # bytes; a card has some thousand
# Column: what a reader calls it. Rows that agree in all but seeds are one row.
PLACE = {
    "data": "data",
    "protocol": "protocol",
    "target": "target",
    "bits": "K",
    "defence": "defence",
    "direction": "direction",
    "attacked": "queries",
    "method": "method",
    "needs": "needs",
    "pairs": "pairs",
    "items": "an item",
    "norm": "norm",
    "epsilon": "ε",
}
MEASURED = {"map": "MAP", "drop": "drop", "share": "of bound", "rms": "RMS", "psnr": "PSNR"}
ORDERS = ("map", "drop", "share", "pairs", "epsilon", "method", "target", "data")


@dataclass(frozen=True)
class Leaderboard:
    """What many cards say.

    Attributes:
        table: One row for each place of `PLACE`: means of `MEASURED`, half the width `half` of the 95 % interval of MAP
            (NaN for one seed), and `seeds`; best attacks first within equal data, target and direction.
        rejected: Files that stay out, with the reason.
        repeated: Files that hold a card which counts already.
    """

    table: pd.DataFrame
    rejected: tuple[tuple[Path, str], ...]
    repeated: tuple[Path, ...]


def card_files(places: Sequence[Path]) -> list[Path]:
    """Card files: those named, and those in folders `cards` below the folders named.

    Raises:
        DataError: If a place does not exist, or none has a card.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            found += [
                path for path in sorted(place.rglob("*.json")) if path.parent.name == "cards" or path.parent == place
            ]
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
    table: dict[Path, dict[str, Any]] = {}
    rejected: list[tuple[Path, str]] = []
    for path in paths:
        try:
            check_file(path)
            if path.stat().st_size > LARGEST:
                raise DataError(f"{path} has more than {LARGEST:,} bytes")
            card = Card.load(path)
            if broken := broken_claims(card):
                raise DataError("; ".join(broken))
            table[path] = _row(card)
            cards[path] = card
        except DataError as error:
            rejected.append((path, str(error)))
        except (KeyError, TypeError, ValueError) as error:
            rejected.append((path, f"target or data lack {error}"))
    splits = {group: _most_frequent(cards, group) for group in {_group(card) for card in cards.values()}}
    rows, repeated, seen = [], [], dict[str, Path]()
    for path, card in cards.items():
        wanted = split or splits[_group(card)]
        if card.data["split_hash"] != wanted:
            reason = f"split {card.data['split_hash']}, this table compares {wanted} on {card.data['name']}"
            rejected.append((path, reason))
        elif card.name in seen:
            repeated.append(path)
        else:
            seen[card.name] = path
            rows.append(table[path])
    if not rows:
        reasons = "\n".join(f"  - {path}: {reason}" for path, reason in rejected)
        raise DataError(f"no card is left of {len(paths)}:\n{reasons}")
    return Leaderboard(_gather(rows, order), tuple(rejected), tuple(repeated))


def _group(card: Card) -> tuple[str, str]:
    return str(card.data["name"]), str(card.data["protocol"])


def _most_frequent(cards: dict[Path, Card], group: tuple[str, str]) -> str:
    counts = Counter(str(card.data["split_hash"]) for card in cards.values() if _group(card) == group)
    return max(sorted(counts), key=lambda name: counts[name])


def _row(card: Card) -> dict[str, Any]:
    row, target, data = card.row, card.target, card.data
    bound = {"I2T": card.epsilon, "T2I": card.text_epsilon}[row.direction]
    defences = (target["defence"]["_target_"] or "").rpartition(".")[2], f"trained by {target['adversarial']['method']}"
    return {
        "data": str(data["name"]),
        "protocol": str(data["protocol"]),
        "target": str(target["name"]),
        "bits": int(target["code_length"]),
        "defence": ", ".join(name for name in defences if name not in ("", "Identity", "trained by none")) or "none",
        "direction": row.direction,
        "attacked": int(data["attacked"]),
        "method": card.method,
        "needs": row.needs + (", labels" if row.labels else ""),
        "pairs": row.pairs_queried,
        "items": row.items_queried / int(data["attacked"]),
        "norm": card.norm if row.words is None else "words",
        "epsilon": 0.0 if row.query == "clean" else bound if row.words is None else row.epsilon,
        "map": row.map,
        "drop": row.drop,
        "share": row.share_of_white_box,
        "rms": row.rms,
        "psnr": row.psnr,
        "seed": card.seed,
    }


def _gather(rows: Sequence[dict[str, Any]], order: str) -> pd.DataFrame:
    frame = pd.DataFrame(rows).astype({"share": "float64", "psnr": "float64"})
    # a text card comes once for each epsilon on images: one seed is one value
    once = frame.groupby([*PLACE, "seed"], as_index=False, dropna=False)[list(MEASURED)].mean()
    groups = once.groupby(list(PLACE), as_index=False, dropna=False)
    named: dict[str, Any] = {name: (name, "mean") for name in MEASURED}
    table: pd.DataFrame = groups.agg(**named, deviation=("map", "std"), seeds=("seed", "nunique"))
    table["half"] = half_width(table.pop("deviation").to_numpy(), table["seeds"].to_numpy())
    together = [name for name in ("data", "protocol", "target", "bits", "defence", "direction") if name != order]
    directions = [True] * len(together) + [order not in ("drop", "share")]
    return table.sort_values([*together, order], ascending=directions, ignore_index=True)
