"""What the lists of a distribution say, parsed once and remembered until one of them changes.

Parsing those of NUS-WIDE or MS-COCO takes 10 to 25 seconds, and every job of a sweep starts with it.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aach_lightning.data.texts import TextVectors
from aach_lightning.errors import DataError
from aach_lightning.readers.original.listing import Count, Listing
from aach_lightning.runtime.files import digest, digest_json, write_atomically

log = logging.getLogger(__name__)


def remembered(cache: Path, files: Sequence[Path], options: Sequence[Any], parse: Callable[[], Listing]) -> Listing:
    """Return what `parse` returned when it was last called for these files, or call it.

    Args:
        cache: Folder of all caches; the listing is kept in its folder `listings`.
        files: Everything that `parse` reads. A file counts as unchanged while its size and time stamp are.
        options: Name and version of the parser, and what else the listing depends on; JSON values.
        parse: Reads `files`; its texts are bags of words or none at all, for embeddings have a cache of their own.

    Raises:
        DataError: If one of the files cannot be read, or as `parse` raises.
    """
    try:
        stamps = [[status.st_size, status.st_mtime_ns] for status in map(Path.stat, files)]
    except OSError as error:
        raise DataError(f"cannot read it: {error}") from error
    path = cache / "listings" / f"{digest_json([*options, *(str(file.absolute()) for file in files)])}.npz"
    if path.is_file():
        try:
            known = _load(path, stamps)
        except Exception as error:  # of a damaged archive numpy and zipfile raise almost anything
            log.warning("the listing %s is damaged (%s): the lists are parsed anew", path, error)
            known = None
        if known is not None:
            return known
    listing = parse()
    if listing.files:
        _save(path, stamps, listing)
    return listing


def _save(path: Path, stamps: list[list[int]], listing: Listing) -> None:
    words = {
        "stamps": stamps,
        "words": listing.texts.words,
        **{key: list(getattr(listing, key)) for key in ("names", "files", "label_names", "captions")},
        "counts": [astuple(count) for count in listing.counts],
    }
    text = np.frombuffer(json.dumps(words).encode(), np.uint8)
    arrays: dict[str, Any] = {"text": text, "texts": _packed(listing.texts.vectors), "labels": _packed(listing.labels)}
    write_atomically(path, lambda file: np.savez(file, hash=np.array(_hash(arrays.values())), **arrays))


def _load(path: Path, stamps: list[list[int]]) -> Listing | None:
    """None where the files have changed since.

    Raises:
        Exception: If the archive is damaged.
    """
    # opened here: numpy leaves a file open that it cannot make sense of
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in ("text", "texts", "labels")}
        if _hash(arrays.values()) != str(archive["hash"]):
            raise ValueError("it does not match its hash")
    words = json.loads(arrays["text"].tobytes())
    if words["stamps"] != stamps:
        return None
    texts, labels = (
        np.unpackbits(arrays[key], axis=1, count=len(words[names]))
        for key, names in (("texts", "words"), ("labels", "label_names"))
    )
    return Listing(
        names=words["names"],
        files=words["files"],
        texts=TextVectors(texts, tuple(words["words"]), 0.0, 1.0),
        labels=labels,
        label_names=tuple(words["label_names"]),
        captions=words["captions"],
        counts=[Count(*count) for count in words["counts"]],
    )


def _hash(arrays: Iterable[NDArray[np.uint8]]) -> str:
    return digest(*(array.tobytes() for array in arrays))


def _packed(marks: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.packbits(marks.astype(np.uint8), axis=1)
