"""A few edited texts in the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from aach_lightning.reports.text import printable


def show_words(changes: Sequence[Mapping[str, Any]], console: Console, count: int = 4) -> None:
    """Print the first texts that the attack has edited: their words, with + before added and - before removed ones.

    Args:
        changes: Of `evaluation.words.word_changes`.
        console: Where to.
        count: Largest number of texts.
    """
    edited = [change for change in changes if change["attack"]["added"] or change["attack"]["removed"]]
    console.print(f"texts edited by the attack: {len(edited)} of {len(changes)}", markup=False)
    for change in edited[:count]:
        removed = set(change["attack"]["removed"])
        line = Text("  ")
        for word in change["words"]:
            line.append(f"-{printable(word)} " if word in removed else f"{printable(word)} ", _style(word in removed))
        for word in change["attack"]["added"]:
            line.append(f"+{printable(word)} ", "green")
        console.print(line)


def _style(removed: bool) -> str:
    return "red strike" if removed else "dim"
