"""What a key, file name or table entry stands for: images, texts or labels, and a part of a split."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aach_lightning.errors import DataError
from aach_lightning.readers.containers.variable import Variable

ROLES: dict[str, frozenset[str]] = {
    "images": frozenset({"images", "image", "imgs", "img", "iall", "fall", "index", "i"}),
    "texts": frozenset(
        {
            *("yall", "tall", "tags", "tag", "texts", "text", "txts", "txt"),
            *("captions", "caption", "onehot", "bow", "t", "y"),
        }
    ),
    "labels": frozenset({"lall", "labels", "label", "category", "categories", "l"}),
}
SPLITS: dict[str, frozenset[str]] = {
    "query": frozenset({"te", "test", "testing", "query", "queries", "qu"}),
    "train": frozenset({"tr", "train", "training"}),
    "database": frozenset({"db", "database", "retrieval", "gallery"}),
}
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_FILLERS = frozenset(
    {
        *("index", "indexes", "indices", "idx", "idxs", "ind", "inds", "inx", "id", "ids", "row", "rows", "no", "num"),
        *("name", "names", "file", "files", "list", "set", "part", "split", "splits", "param", "params", "pairs"),
    }
)
KNOWN = "; ".join(f"{part}: {', '.join(sorted(words))}" for part, words in SPLITS.items())
"""The words that are understood, for messages."""


@dataclass(frozen=True)
class Part:
    """The three variables of one part of a pack.

    Attributes:
        split: query, train or database; empty where the pack is in one piece.
        images: Pixels, or strings that name image files.
        texts: Numbers, or strings.
        labels: 0/1 rows, or one class number an image.
    """

    split: str
    images: Variable
    texts: Variable
    labels: Variable


def read_key(key: str) -> tuple[str, str] | None:
    """Role and split that a key names, or None. What stands before them (`cm_train_imgs`) does not count.

    Example:
        >>> read_key("YAll"), read_key("I_tr"), read_key("cm_database_onehot"), read_key("label_names")
        (('texts', ''), ('images', 'train'), ('texts', 'database'), None)
    """
    words = [word for word in re.split(r"[^0-9a-z]+", key.lower()) if word]
    known = [_meaning(word) for word in words]
    while known and known[0] is None:
        known.pop(0)
    if not 1 <= len(known) <= 2 or None in known:
        return None
    roles = [word for word in known if word in ROLES]
    splits = [word for word in known if word in SPLITS]
    if len(roles) != 1:
        return None
    return str(roles[0]), str(splits[0]) if splits else ""


def _meaning(word: str) -> str | None:
    return next((name for table in (ROLES, SPLITS) for name, words in table.items() if word in words), None)


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


def find_parts(variables: Mapping[str, Variable]) -> tuple[Part, ...]:
    """Sort the variables of a pack into its parts.

    Returns:
        One part; or, of a pack that is split already, its query, train and database parts in this order.

    Raises:
        DataError: If images, texts or labels are missing (it lists the keys found) or stand there twice.
    """
    listed = ", ".join(f"{key} {'strings' if it.is_text else ''}{it.shape}" for key, it in variables.items()) or "none"
    found: dict[str, dict[str, list[str]]] = {}
    for key in variables:
        meaning = read_key(key)
        if meaning is not None:
            found.setdefault(meaning[1], {}).setdefault(meaning[0], []).append(key)
    # a pack can hold both one piece and its parts: the piece is everything
    splits = [""] if set(found.get("", {})) == set(ROLES) else [split for split in SPLITS if split in found]
    if not splits:
        splits = [""]
    parts = []
    for split in splits:
        keys = found.get(split, {})
        missing = [role for role in ROLES if role not in keys]
        if missing:
            where = f" of the {split} part" if split else ""
            known = "; ".join(f"{role}: {', '.join(sorted(ROLES[role]))}" for role in missing)
            raise DataError(
                f"data.path: no {' and no '.join(missing)}{where} among the keys found: {listed}. Known keys are, in "
                f"any case and with or without tr/te/db and the like, {known}."
            )
        chosen = {role: variables[_best(role, keys[role], variables)] for role in ROLES}
        parts.append(Part(split, **chosen))
    return tuple(parts)


def _best(role: str, keys: list[str], variables: Mapping[str, Variable]) -> str:
    """Pixels before features and lists of files, numbers before strings."""
    ranks = {
        key: (len(variables[key].shape) != 4 if role == "images" else False, variables[key].is_text) for key in keys
    }
    best = [key for key in keys if ranks[key] == min(ranks.values())]
    if len(best) > 1:
        raise DataError(f"data.path: the keys {', '.join(best)} all stand for {role}; keep one of them")
    return best[0]
