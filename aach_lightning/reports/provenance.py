"""What it takes to repeat what a page shows: data, versions, hardware, commands, configuration."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aach_lightning.evaluation.card import Card
from aach_lightning.reports.collect import Collection
from aach_lightning.reports.jobs import overrides_of
from aach_lightning.reports.sheet import Cell, Column, Sheet, number, words
from aach_lightning.reports.text import printable

_DATA = ("name", "pairs", "query", "train", "database", "attacked", "labels", "protocol", "hash", "split_hash", "note")
MOST_COMMANDS = 300


def data_sheet(found: Collection, cards: Sequence[Card]) -> Sheet:
    """Data sets and splits, by their hashes."""
    seen = {_key(result.data): result.data for _, result in found.results.values()}
    for card in cards:
        if not any(known.get("hash") == card.data.get("hash") for known in seen.values()):
            seen.setdefault(_key(card.data), card.data)
    rows = [tuple(_cell(data.get(part)) for part in _DATA) for data in seen.values()]
    texts = ("name", "protocol", "hash", "split_hash", "note")
    columns = tuple(Column(part.replace("_", " "), number=part not in texts) for part in _DATA)
    note = "Hashes are of the content: of images, texts and labels, and of which rows are query, train and database."
    return Sheet("Data", note, columns, tuple(rows))


def version_sheet(found: Collection, cards: Sequence[Card]) -> Sheet:
    """Versions and hardware, with how many runs and cards each has."""
    counts: dict[tuple[tuple[tuple[str, str], ...], str], int] = {}
    for _, result in found.results.values():
        trainer = result.config.get("trainer")
        trainer = trainer if isinstance(trainer, Mapping) else {}
        hardware = f"{trainer.get('accelerator', 'unknown')}, {trainer.get('devices', '?')} devices"
        place = (tuple(result.versions.items()), hardware)
        counts[place] = counts.get(place, 0) + 1
    for card in cards:
        place = (tuple((name, str(version)) for name, version in card.versions.items()), card.hardware)
        counts[place] = counts.get(place, 0) + 1
    libraries = list(dict.fromkeys(name for versions, _ in counts for name, _ in versions))
    rows = [
        (
            words(printable(hardware)),
            *(words(printable(dict(versions).get(name, ""))) for name in libraries),
            number(count, ",d"),
        )
        for (versions, hardware), count in counts.items()
    ]
    heads = tuple(Column(printable(name), number=False) for name in libraries)
    columns = (Column("hardware", number=False), *heads, Column("runs, cards"))
    return Sheet("Versions and hardware", "As each run told them.", columns, tuple(rows))


def command_sheet(found: Collection, names: Mapping[str, tuple[str, str]], cards: Sequence[Card], root: Path) -> Sheet:
    """A line for each run, and for each method of a benchmark with its first seed: where it is, what repeats it."""
    rows: list[tuple[Cell, ...]] = []
    for key, (file, result) in found.results.items():
        flat, overrides = found.configs[key], overrides_of(file.parent)
        rows.append(
            (
                words(names[key][1]),
                number(flat["budget.pairs"], ",d"),
                number(flat["attack.epsilon"], "g"),
                number(flat["attack.text_epsilon"], "g"),
                number(result.seed, "d"),
                words(command(overrides) if overrides else "not kept; the configuration is in the file"),
                words(printable(_below(file, root))),
            )
        )
    first: dict[tuple[str, int, float, float], Card] = {}
    for card in sorted(cards, key=lambda it: it.seed):
        if card.row.query == "attack":
            first.setdefault((card.method, card.budget_pairs, card.epsilon, card.text_epsilon), card)
    for (method, budget, epsilon, text_epsilon), card in first.items():
        numbers = (number(budget, ",d"), number(epsilon, "g"), number(text_epsilon, "g"), number(card.seed, "d"))
        rows.append((words(printable(method)), *numbers, words(command(card.overrides)), words("a card")))
    columns = (
        Column("attacker", number=False),
        *map(Column, ("M", "ε, 1/255", "ε, texts", "seed")),
        Column("command", number=False),
        Column("file", number=False),
    )
    note = "Options that only say where files lie are left out. Seeds of a benchmark are repeated with seed=0,1,2."
    if len(rows) > MOST_COMMANDS:
        note += f" The first {MOST_COMMANDS} of {len(rows):,}."
    return Sheet("Commands", note, columns, tuple(rows[:MOST_COMMANDS]))


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
    rows = tuple((words(printable(key)), words(printable(str(value)))) for key, value in flat.items())
    return Sheet("Configuration", "", (Column("key", number=False), Column("value", number=False)), rows)


def _key(data: Mapping[str, Any]) -> tuple[str, str]:
    return str(data.get("hash")), str(data.get("split_hash"))


def _cell(value: Any) -> Cell:
    if isinstance(value, int) and not isinstance(value, bool):
        return number(value, ",d")
    return words("" if value is None else printable(str(value)))


def _below(file: Path, root: Path) -> str:
    try:
        return str(file.relative_to(root))
    except ValueError:
        return str(file)
