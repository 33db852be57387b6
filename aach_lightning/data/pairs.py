"""Image-text pairs in memory: the one form in which every data set reaches the rest of the code."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.data.splits import Split
from aach_lightning.runtime import ranks

Indices = Sequence[int] | NDArray[np.integer] | Tensor


@dataclass(frozen=True)
class PairBatch:
    """N image-text pairs as tensors.

    Attributes:
        ids: int64, N. Position of each pair in its `Pairs`.
        images: float32 in [0, 1], N x 3 x H x W; or N x F features where a frozen backbone has already read the images;
            or, in training by several processes, this process's share of the images.
        texts: float32, N x D.
        labels: uint8 in {0, 1}, N x C.
    """

    ids: Tensor
    images: Tensor
    texts: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return int(self.ids.shape[0])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Copy every tensor to `device`."""
        moved = {f.name: getattr(self, f.name).to(device, non_blocking=non_blocking) for f in fields(self)}
        return replace(self, **moved)


@dataclass(frozen=True)
class Pairs:
    """A whole data set: images decoded once into a memory map, texts and labels beside them.

    Attributes:
        name: Short name for tables and file names.
        names: N identifiers as the user knows them (file or row id).
        images: uint8, N x 3 x H x W, usually a read-only memory map.
        texts: N x D, any real dtype; a float32 vector in [text_low, text_high] once batched.
        labels: uint8 in {0, 1}, N x C.
        label_names: C names.
        words: D names of the text entries: the vocabulary of a bag of words; #0, #1, ... where entries are no words.
        text_low: Smallest value a text entry may take.
        text_high: Largest value a text entry may take.
        fingerprint: Hash of everything above; two equal fingerprints mean equal content.
        captions: N texts as a person wrote or tagged them, for pictures.
        image_rows: int64, N. Row of `images` that belongs to each pair; None where they are in the same order.
        note: What a reader must know about these data ("procedural, not a benchmark"), printed beside results; may be
            empty.
        skipped: Pairs left out because their image was missing or damaged.
        given: The parts in which these data come, train empty where there is no such part; None where they come in one
            piece.
    """

    name: str
    names: tuple[str, ...]
    images: NDArray[np.uint8]
    texts: NDArray[np.generic]
    labels: NDArray[np.uint8]
    label_names: tuple[str, ...]
    words: tuple[str, ...]
    text_low: float
    text_high: float
    fingerprint: str
    captions: tuple[str, ...]
    image_rows: NDArray[np.int64] | None = None
    note: str = ""
    skipped: int = 0
    given: Split | None = None

    def __post_init__(self) -> None:
        """Check that all parts describe the same N pairs.

        Raises:
            ValueError: If lengths or widths differ, labels are not 0/1, or given parts name other rows.
        """
        n = len(self.names)
        images = len(self.images) if self.image_rows is None else len(self.image_rows)
        parts = {"images": images, "texts": len(self.texts), "labels": len(self.labels), "captions": len(self.captions)}
        counts = {"names": n, **parts}
        if len(set(counts.values())) != 1:
            raise ValueError(f"data set {self.name!r}: parts of different length: {counts}")
        if self.labels.shape[1:] != (len(self.label_names),) or self.texts.shape[1:] != (len(self.words),):
            raise ValueError(
                f"data set {self.name!r}: {len(self.label_names)} label names and {len(self.words)} words for "
                f"labels of shape {self.labels.shape} and texts of shape {self.texts.shape}"
            )
        if self.labels.size and int(self.labels.max()) > 1:
            raise ValueError(f"data set {self.name!r}: labels must be 0 or 1, found {int(self.labels.max())}")
        if self.given is not None and self.given.largest >= n:
            raise ValueError(f"data set {self.name!r}: its parts name rows beyond its {n} pairs")

    def __len__(self) -> int:
        return len(self.names)

    def batch(self, indices: Indices) -> PairBatch:
        """Read the pairs at `indices` (any order, repeats allowed) as float tensors."""
        rows = np.asarray(indices, dtype=np.int64)
        image_rows = rows if self.image_rows is None else self.image_rows[rows]
        return self.batch_of_features(rows, torch.from_numpy(_unit_range(self.images, image_rows)))

    def shared_batch(self, indices: Indices) -> PairBatch:
        """Read pairs as `batch` does, but of the images only this process's share (`ranks.own_share`)."""
        rows = np.asarray(indices, dtype=np.int64)
        own = rows[ranks.own_share(len(rows))]
        return self.batch_of_features(rows, self.batch(own).images)

    def batch_of_features(self, indices: Indices, features: Tensor) -> PairBatch:
        """Read the pairs at `indices`, with `features` (N x ...) in the place of their images."""
        rows = np.asarray(indices, dtype=np.int64)
        return PairBatch(
            ids=torch.from_numpy(rows.copy()),
            images=features,
            texts=torch.from_numpy(self.texts[rows].astype(np.float32)),
            labels=torch.from_numpy(self.labels[rows].copy()),
        )


def _unit_range(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    # image by image, each from the map to its place while it is in the processor's cache; and allocated by numpy, which
    # asks for huge pages: a batch of 77 MB else costs more in page faults than in arithmetic
    pixels = np.empty((len(rows), *images.shape[1:]), np.float32)
    plain = images.view(np.ndarray)  # indexing a memmap costs more
    for place, row in zip(pixels, rows.tolist(), strict=True):
        np.divide(plain[row], np.float32(255), out=place)
    return pixels
