"""Find the cards of benchmarks below a folder."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from aach_lightning.errors import DataError
from aach_lightning.evaluation.card import Card
from aach_lightning.reports.collect import check_file, walk
from aach_lightning.runtime.files import digest_json

CARDS = "cards"


def find_cards(
    root: Path, progress: Callable[[list[Path]], Iterator[Path]] = iter
) -> tuple[list[Card], list[tuple[Path, str]]]:
    """Read every card below a folder, equal ones once.

    Args:
        root: A benchmark's folder, or any folder above it.
        progress: Gives back the files one by one, and may draw a bar.

    Returns:
        The cards, and the files that could not be read with the reason. Folders that cannot be looked into are told
        by `reports.collect.collect`.
    """
    files = [
        folder / name
        for folder, _, names in walk(root, [])
        if folder.name == CARDS
        for name in sorted(names)
        if name.endswith(".json")
    ]
    cards: dict[str, Card] = {}
    skipped = []
    for file in progress(files):
        try:
            check_file(file)
            card = Card.load(file)
            flaw = _flaw(card)
            if flaw is not None:
                raise DataError(f"{file} is no card that can be tabulated: {flaw}")
        except DataError as error:
            skipped.append((file, str(error)))
            continue
        cards.setdefault(digest_json(asdict(card) | {"seconds": 0, "overrides": []}), card)
    return list(cards.values()), skipped


def _flaw(card: Card) -> str | None:
    """What a table needs and the card lacks."""
    for part, content, keys in (
        ("data", card.data, ("name", "split_hash")),
        ("target", card.target, ("name", "code_length")),
    ):
        for key in keys:
            if not isinstance(content.get(key), str | int):
                return f"{part}.{key} is {content.get(key)!r:.80}"
    return None
