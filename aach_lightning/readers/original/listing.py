"""From the lists of a distribution to Pairs: images decoded, damaged ones dealt with, everything hashed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aach_lightning.data.images import DECODER, decode_files
from aach_lightning.data.pairs import Pairs
from aach_lightning.errors import DataError
from aach_lightning.readers.original.counts import Count, log_counts
from aach_lightning.runtime.files import digest


@dataclass(frozen=True)
class Listing:
    """N pairs whose images are still files.

    Attributes:
        names: N identifiers, equal wherever the distribution is unpacked.
        files: N image files, below the folder in which the reader finds them.
        texts: N x D, bags of words or embeddings.
        labels: uint8 in {0, 1}, N x C.
        words: D names.
        label_names: C names.
        captions: N texts as a person wrote or tagged them.
        counts: What was counted on the way, for the log.
        text_low: Smallest value a text entry may take.
        text_high: Largest value a text entry may take.
    """

    names: Sequence[str]
    files: Sequence[str]
    texts: NDArray[np.generic]
    labels: NDArray[np.uint8]
    words: tuple[str, ...]
    label_names: tuple[str, ...]
    captions: Sequence[str]
    counts: Sequence[Count]
    text_low: float = 0.0
    text_high: float = 1.0


def listed_pairs(
    listing: Listing,
    files: Sequence[str],
    *,
    name: str,
    root: str,
    image_size: int,
    on_damaged: Literal["error", "skip"],
    cache: str,
) -> Pairs:
    """Decode the images of a listing, which are the paths `files`, and log its counts.

    A file counts as unchanged while its size and time stamp are: hashing the bytes of 200,000 photos at every start
    would take minutes.

    Raises:
        DataError: If no pair is listed, or an image is damaged and `on_damaged` is "error".
    """
    note = log_counts(name, listing.counts)
    if not files:
        raise DataError(f"data.root={root}: no pair has both a text and a label. {note}")
    stamps = [f"{pair} {_stamp(file)}" for pair, file in zip(listing.names, files, strict=True)]
    key = digest(DECODER.encode(), str(image_size).encode(), "\n".join(stamps).encode("utf-8", "surrogatepass"))
    decoded = decode_files(files, key=key, size=image_size, on_damaged=on_damaged, name=name, root=root, cache=cache)
    rows = decoded.keep
    names = tuple(listing.names[row] for row in rows)
    texts, labels = (listing.texts[rows], listing.labels[rows]) if decoded.skipped else (listing.texts, listing.labels)
    words = "\n".join((*names, *listing.words, *listing.label_names)).encode("utf-8", "surrogatepass")
    return Pairs(
        name=name,
        names=names,
        images=decoded.pixels,
        texts=texts,
        labels=labels,
        label_names=listing.label_names,
        words=listing.words,
        text_low=listing.text_low,
        text_high=listing.text_high,
        fingerprint=digest(key.encode(), rows.tobytes(), words, texts.data, labels.data),
        captions=tuple(listing.captions[row] for row in rows),
        image_rows=decoded.image_rows,
        note=note,
        skipped=decoded.skipped,
    )


def _stamp(path: str) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116 - 200,000 objects for paths would take longer than asking the disk
    except OSError:
        return "unreadable"
    return f"{status.st_size} {status.st_mtime_ns}"
