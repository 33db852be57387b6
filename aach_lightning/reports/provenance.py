"""What it takes to repeat what a page shows: data, versions, hardware, commands, configuration."""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aach_lightning.evaluation.card import Card
from aach_lightning.reports.collect import Collection
from aach_lightning.reports.costs import Names
from aach_lightning.reports.jobs import overrides_of
from aach_lightning.reports.sheet import Column, Sheet, make_sheet
from aach_lightning.reports.text import printable

_DATA = ("name", "pairs", "query", "train", "database", "attacked", "labels", "protocol", "hash", "split_hash", "note")
_WORDS = ("name", "protocol", "hash", "split_hash", "note")
MOST_COMMANDS = 300


def data_sheet(found: Collection, cards: Sequence[Card]) -> Sheet:
    """Data sets and splits, by their hashes."""
    seen: dict[tuple[str, str], Mapping[str, Any]] = {}
    for data in [*(result.data for _, result in found.results.values()), *(card.data for card in cards)]:
        key = str(data.get("hash")), str(data.get("split_hash"))
        if key not in seen:
            seen[key] = data
    columns = {
        Column(part.replace("_", " "), "" if part in _WORDS else "auto"): [data.get(part) for data in seen.values()]
        for part in _DATA
    }
    note = "Hashes are of the content: of images, texts and labels, and of which rows are query, train and database."
    return make_sheet("Data", note, columns)


def version_sheet(found: Collection, cards: Sequence[Card]) -> Sheet:
    """Versions and hardware, with how many runs and cards each has."""
    told: list[tuple[str, Mapping[str, Any]]] = []
    for _, result in found.results.values():
        trainer = result.config.get("trainer")
        trainer = trainer if isinstance(trainer, Mapping) else {}
        hardware = f"{trainer.get('accelerator', 'unknown')}, {trainer.get('devices', '?')} devices"
        told.append((hardware, result.versions))
    told += [(card.hardware, card.versions) for card in cards]
    libraries = list(dict.fromkeys(name for _, versions in told for name in versions))
    counts = Counter((hardware, *(versions.get(name, "") for name in libraries)) for hardware, versions in told)
    heads = [Column("hardware"), *map(Column, libraries)]
    columns: dict[Column, Iterable[object]] = dict(zip(heads, zip(*counts, strict=True), strict=True))
    columns[Column("runs, cards", ",d")] = counts.values()
    return make_sheet("Versions and hardware", "As each run told them.", columns)


def command_sheet(found: Collection, names: Names, cards: Sequence[Card], root: Path) -> Sheet:
    """A line for each run, and for each method of a benchmark with its first seed: where it is, what repeats it."""
    rows: list[tuple[object, ...]] = []
    for key, (file, result) in found.results.items():
        flat, overrides = found.configs[key], overrides_of(file.parent)
        place = file.relative_to(root) if file.is_relative_to(root) else file
        told = command(overrides) if overrides else "not kept; the configuration is in the file"
        bounds = flat["attack.epsilon"], flat["attack.text_epsilon"]
        rows.append((names[key][1], flat["budget.pairs"], *bounds, result.seed, told, place))
    first: dict[tuple[str, int, float, float], Card] = {}
    for card in sorted(cards, key=lambda it: it.seed):
        if card.row.query == "attack":
            first.setdefault((card.method, card.budget_pairs, card.epsilon, card.text_epsilon), card)
    rows += [(*place, card.seed, command(card.overrides), "a card") for place, card in first.items()]
    columns = (
        Column("attacker"),
        *(Column("M", ",d"), Column("ε, 1/255", "g"), Column("ε, texts", "g"), Column("seed", "d")),
        *(Column("command"), Column("file")),
    )
    note = "Options that only say where files lie are left out. Seeds of a benchmark are repeated with seed=0,1,2."
    if len(rows) > MOST_COMMANDS:
        note += f" The first {MOST_COMMANDS} of {len(rows):,}."
    values = list(zip(*rows[:MOST_COMMANDS], strict=True)) or [()] * len(columns)
    return make_sheet("Commands", note, dict(zip(columns, values, strict=True)))


def command(overrides: Iterable[str]) -> str:
    """What repeats a run, as it is typed into a shell.

    Example:
        >>> command(["seed=1", "paths.store=/x", "data.root=my photos"])
        "python attack.py seed=1 'data.root=my photos'"
    """
    told = [text for text in overrides if not text.lstrip("+~").startswith(("paths.", "hydra."))]
    return printable(shlex.join(["python", "attack.py", *told]))


def config_sheet(flat: Mapping[str, Any]) -> Sheet:
    """The whole configuration of a run."""
    return make_sheet("Configuration", "", {Column("key"): flat, Column("value"): map(str, flat.values())})
