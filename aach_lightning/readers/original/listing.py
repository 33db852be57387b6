"""From the lists of a distribution to Pairs: numbers compared with the field's, images decoded, everything hashed."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aach_lightning.config.data import OriginalConfig
from aach_lightning.data.images import DECODER, decode_files
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.texts import TextVectors
from aach_lightning.errors import DataError
from aach_lightning.runtime.files import digest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Count:
    """One number on the way from the distribution to the pairs.

    Attributes:
        what: What was counted.
        reached: How many there are here.
        expected: How many the field reports, or None where no number is known.
    """

    what: str
    reached: int
    expected: int | None = None

    def __str__(self) -> str:
        if self.expected is None:
            return f"{self.what}: {self.reached:,}"
        if self.reached == self.expected:
            return f"{self.what}: {self.reached:,}, as the field reports"
        return f"{self.what}: {self.reached:,} instead of {self.expected:,} ({self.reached - self.expected:+,})"


def log_counts(name: str, counts: Sequence[Count]) -> str:
    """Log every count in the order given, so that the first that differs shows where a difference comes from.

    Args:
        name: Name of the data set.
        counts: What was counted, from the whole distribution to the pairs that are kept.

    Returns:
        One sentence about the counts that differ from the field's, for `Pairs.note`; empty where none does.

    Example:
        >>> log_counts("d", [Count("images", 3, 3), Count("pairs", 1_998, 2_000)])
        'd differs from the numbers that the field reports: pairs: 1,998 instead of 2,000 (-2).'
    """
    differing = [count for count in counts if count.expected not in (None, count.reached)]
    for count in counts:
        log.log(logging.WARNING if count in differing else logging.INFO, "%s: %s", name, count)
    if not differing:
        return ""
    return f"{name} differs from the numbers that the field reports: {'; '.join(map(str, differing))}."


@dataclass(frozen=True)
class Listing:
    """N pairs whose images are still files.

    Attributes:
        names: N identifiers, equal wherever the distribution is unpacked.
        files: N image files, below the folder in which the reader finds them.
        texts: N bags of words or embeddings.
        labels: uint8 in {0, 1}, N x C.
        label_names: C names.
        captions: N texts as a person wrote or tagged them.
        counts: What was counted on the way, for the log.
    """

    names: Sequence[str]
    files: Sequence[str]
    texts: TextVectors
    labels: NDArray[np.uint8]
    label_names: tuple[str, ...]
    captions: Sequence[str]
    counts: Sequence[Count]


def listed_pairs(listing: Listing, files: Sequence[str], config: OriginalConfig, cache: str) -> Pairs:
    """Decode the images of a listing, which are the paths `files`, and log its counts.

    A file counts as unchanged while its size and time stamp are: hashing the bytes of 200,000 photos at every start
    would take minutes.

    Raises:
        DataError: If no pair is listed, or an image is damaged and `data.on_damaged` is "error".
    """
    note = log_counts(config.name, listing.counts)
    if not files:
        raise DataError(f"data.root={config.root}: no pair has both a text and a label. {note}")
    stamps = [f"{pair} {_stamp(file)}" for pair, file in zip(listing.names, files, strict=True)]
    size = config.image_size
    decoded = decode_files(
        files,
        key=digest(DECODER.encode(), str(size).encode(), "\n".join(stamps).encode("utf-8", "surrogatepass")),
        size=size,
        on_damaged=config.on_damaged,
        name=config.name,
        root=config.root,
        cache=cache,
    )
    texts, labels, rows = listing.texts, listing.labels, decoded.keep
    if decoded.skipped:
        texts, labels = replace(texts, vectors=texts.vectors[rows]), labels[rows]
    names, captions = ([them[row] for row in rows] for them in (listing.names, listing.captions))
    return decoded.pairs(names, texts, labels, listing.label_names, captions, note=note)


def _stamp(path: str) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116 - 200,000 objects for paths would take longer than asking the disk
    except OSError:
        return "unreadable"
    return f"{status.st_size} {status.st_mtime_ns}"
