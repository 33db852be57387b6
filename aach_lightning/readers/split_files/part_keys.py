"""Which part of a split a key, file name or table entry stands for."""

import re

from aach_lightning.readers.containers.roles import SPLITS

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_FILLERS = frozenset(
    {
        *("index", "indexes", "indices", "idx", "idxs", "ind", "inds", "inx", "id", "ids", "row", "rows", "no", "num"),
        *("name", "names", "file", "files", "list", "set", "part", "split", "splits", "param", "params", "pairs"),
    }
)
KNOWN = "; ".join(f"{part}: {', '.join(sorted(words))}" for part, words in SPLITS.items())
"""The words that are understood, for messages."""


def read_part_key(key: str) -> str | None:
    """The part that a key names, or None; words such as index and list do not count, nor what stands before a dot.

    Example:
        >>> [read_part_key(key) for key in ("param.indexTest", "train_idx", "databaseset", "I_te", "labels")]
        ['query', 'train', 'database', None, None]
    """
    for text in (key.rpartition(".")[2], key):  # of `query.ids`, what stands before the dot does
        words = [word.lower() for word in _WORD.findall(text)]
        if meant := {_part(word) for word in words if word not in _FILLERS}:
            return meant.pop() if len(meant) == 1 else None
    return None


def _part(word: str) -> str | None:
    return next((part for part, known in SPLITS.items() if word in known or word.removesuffix("set") in known), None)
