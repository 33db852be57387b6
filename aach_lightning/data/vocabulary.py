"""Text to a bag of words over a frozen vocabulary."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aach_lightning.errors import DataError

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_LONGEST = 64


def tokenize(text: str) -> list[str]:
    """Split a text into case-folded words; digits count as letters, punctuation and underscores separate.

    Example:
        >>> tokenize("A dog's day: sea_side, 2 boats.")
        ['a', "dog's", 'day', 'sea', 'side', '2', 'boats']
    """
    return [word for word in _WORD.findall(text.casefold()) if len(word) <= _LONGEST]


def build_vocabulary(texts: Iterable[str], size: int) -> tuple[str, ...]:
    """The `size` words that occur in most texts; equal counts in alphabetical order.

    Example:
        >>> build_vocabulary(["a dog", "a cat", "a cat"], 2)
        ('a', 'cat')
    """
    counts = Counter(word for text in texts for word in set(tokenize(text)))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(word for word, _ in ranked[:size])


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """Read a vocabulary: UTF-8 text, one word a line.

    Raises:
        DataError: If the file is unreadable, empty, names a word twice, or names one that no text can contain.
    """
    try:
        words = tuple(line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"data.vocabulary={path}: cannot read it: {error}") from error
    repeated = [word for word, count in Counter(words).items() if count > 1]
    if not words or repeated:
        raise DataError(
            f"data.vocabulary={path}: " + (f"word {repeated[0]!r} stands there twice" if words else "empty")
        )
    foreign = [word for word in words if tokenize(word) != [word]]
    if foreign:
        raise DataError(
            f"data.vocabulary={path}: {foreign[0]!r} can never occur in a text: it is read as {tokenize(foreign[0])}"
        )
    return words


def bag_of_words(texts: Sequence[str], words: Sequence[str]) -> NDArray[np.uint8]:
    """Which vocabulary words each text contains.

    Args:
        texts: N texts.
        words: D words, each already in the form that `tokenize` gives.

    Returns:
        uint8 in {0, 1}, N x D.
    """
    return memberships([tokenize(text) for text in texts], words)


def memberships(rows: Sequence[Iterable[str]], names: Sequence[str]) -> NDArray[np.uint8]:
    """Which of D names each of N rows has; others do not count: uint8 in {0, 1}, N x D.

    Example:
        >>> memberships([["sea", "dog"], []], ["dog", "cat"]).tolist()
        [[1, 0], [0, 0]]
    """
    column = {name: position for position, name in enumerate(names)}
    marks = np.zeros((len(rows), len(names)), dtype=np.uint8)
    for row, found in enumerate(rows):
        marks[row, [column[name] for name in found if name in column]] = 1
    return marks
