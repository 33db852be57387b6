import io
from typing import Any

from rich.console import Console

from aach_lightning.reports.run_folder import show_words


def change(name: str, added: list[str], removed: list[str]) -> dict[str, Any]:
    words = ["a", "dog", *removed]
    return {"name": name, "caption": "", "words": words, "attack": {"added": added, "removed": removed}}


def shown(changes: list[dict[str, Any]], **settings: Any) -> list[str]:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    show_words(changes, console, **settings)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_added_and_removed_words_are_marked_among_the_others() -> None:
    changes = [change("1", [], []), change("2", ["sea", "boat"], ["cat"]), change("3", ["[bold]x\x1b"], [])]
    assert shown(changes) == [
        "texts edited by the attack: 2 of 3",
        "  a dog -cat +sea +boat",
        "  a dog +[bold]x\\x1b",
    ]


def test_a_few_are_enough() -> None:
    assert len(shown([change(str(number), ["sea"], []) for number in range(9)], count=3)) == 4
