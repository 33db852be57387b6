"""One part of a pack read, but for its pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aach_lightning.errors import DataError
from aach_lightning.readers.containers.axes import possible_axes
from aach_lightning.readers.containers.matrices import Texts, counts, read_labels, read_texts
from aach_lightning.readers.containers.roles import Part
from aach_lightning.readers.containers.variable import Variable
from aach_lightning.runtime.files import digest

MAX_PAIRS = 2**24


@dataclass(frozen=True)
class PartRows:
    """N pairs of one part.

    Attributes:
        split: query, train or database; empty where the pack is in one piece.
        images: Pixels, or a list of files.
        listed: N files as the list names them; empty where `images` holds pixels.
        sentences: N texts; empty where the texts are numbers.
        texts: Text vectors; None where they are sentences.
        labels: uint8 in {0, 1}, N x C.
    """

    split: str
    images: Variable
    listed: tuple[str, ...]
    sentences: tuple[str, ...]
    texts: Texts | None
    labels: NDArray[np.uint8]

    @property
    def names(self) -> tuple[str, ...]:
        """N identifiers: listed files, or row numbers."""
        before = f"{self.split}-" if self.split else ""
        return self.listed or tuple(f"{before}{row}" for row in range(len(self.labels)))

    def identities(self) -> list[tuple[str | bytes, ...]]:
        """What tells one pair from another without reading pixels: its file, text and labels."""
        vectors = self.texts.vectors if self.texts else ()
        texts = self.sentences or tuple(digest(row.astype(np.float32).tobytes()) for row in vectors)
        listed = self.listed or ("",) * len(self.labels)
        return list(zip(listed, texts, (row.tobytes() for row in self.labels), strict=True))


def read_rows(part: Part) -> PartRows:
    """Find the number of pairs on which images, texts and labels agree, and read texts and labels.

    Raises:
        DataError: If they agree on no number or on several, or a value is not allowed.
    """
    sizes = {len(part.images.strings())} if part.images.is_text else set(possible_axes(part.images))
    possible = (sizes & counts(part.texts) & counts(part.labels)) - {0}
    if len(possible) != 1:
        shapes = "; ".join(f"{it.where} {it.shape}" for it in (part.images, part.texts, part.labels))
        found = f"agree on {sorted(possible)}" if possible else "agree on none"
        raise DataError(f"data.path: how many pairs there are cannot be told from the shapes, which {found}: {shapes}")
    count = possible.pop()
    if count > MAX_PAIRS:
        raise DataError(f"data.path: {part.images.where}: {count:,} pairs, more than {MAX_PAIRS:,} allowed")
    return PartRows(
        split=part.split,
        images=part.images,
        listed=tuple(part.images.strings()) if part.images.is_text else (),
        sentences=tuple(part.texts.strings()) if part.texts.is_text else (),
        texts=None if part.texts.is_text else read_texts(part.texts, count),
        labels=read_labels(part.labels, count),
    )
