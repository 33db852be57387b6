from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from aach_lightning.config.option import Limits, Option, options
from aach_lightning.config.reference import page
from aach_lightning.config.schema import CHOICES, help_of
from aach_lightning.config.serving import ServeConfig

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"


def declared() -> Iterator[tuple[str, Option]]:
    """Every option of every class that a configuration can consist of."""
    waiting: list[Any] = [ServeConfig, *(node for nodes in CHOICES.values() for node in nodes.values())]
    seen = set()
    while waiting:
        node = waiting.pop()
        kind = node if isinstance(node, type) else type(node)
        if kind in seen or not hasattr(kind, "__dataclass_fields__"):
            continue
        seen.add(kind)
        for one in options(kind):
            waiting += [one.type, *get_args(one.type)]
            yield kind.__name__, one


OPTIONS = [(owner, one) for owner, one in declared() if one.name != "_target_"]


def test_the_page_of_keys_is_the_one_that_is_written() -> None:
    """After a change: python -m aach_lightning.config > docs/reference/configuration.md."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_key_says_what_it_means_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(OPTIONS) > 150
    assert [(owner, one.name) for owner, one in OPTIONS if not one.help] == []
    assert [
        (owner, one.name) for owner, one in OPTIONS if one.help.replace("|", "\\|").lower() not in text.lower()
    ] == []
    assert help_of("budget.pairs") == "M, the number of pairs that are sent"


def test_every_number_has_limits_that_refuse_nonsense() -> None:
    numbers = [(owner, one) for owner, one in OPTIONS if {int, float} & {one.type, *get_args(one.type)}]
    numbers = [(owner, one) for owner, one in numbers if one.type != list[int]]  # evaluation.trace has a rule
    assert len(numbers) > 90
    nonsense = (float("nan"), float("inf"), float("-inf"), 1e30, -1e30)
    accepted = [
        (owner, one.name, value)
        for owner, one in numbers
        for value in nonsense
        if not isinstance(one.allowed, Limits) or one.mistake(value) is None
    ]
    assert accepted == []
    outside = [
        (owner, one.name)
        for owner, one in numbers
        if isinstance(one.default, int | float) and one.mistake(one.default) is not None
    ]
    assert outside == []
