"""Adversarial queries as a folder: PNG files, texts, and a manifest; and as a data set to train defences on."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from aach_lightning.errors import DataError
from aach_lightning.runtime.checkpoints import load_tensors, save_tensors
from aach_lightning.runtime.files import digest, write_bytes, write_json

SCHEMA = "aach_lightning.adversarial/1"
MANIFEST, TEXTS = "manifest.json", "texts.safetensors"
_LARGEST_MANIFEST, _LARGEST_IMAGE = 64 * 2**20, 16 * 2**20  # bytes
_IMAGE = re.compile(r"images/[0-9]{6,12}\.png")


@dataclass(frozen=True)
class AdversarialSet:
    """What the target was shown in the place of Q queries.

    Attributes:
        rows: int64, Q rows of the data set.
        names: Q, of these pairs.
        labels: uint8 in {0, 1}, Q x C; those of the clean pairs.
        label_names: C.
        images: uint8, Q x 3 x H x W; None where images were not attacked.
        texts: float32, Q x D; None where texts were not attacked.
        about: Name of the attack, hashes of data and split: whatever else is worth knowing, as JSON values.
    """

    rows: NDArray[np.int64]
    names: tuple[str, ...]
    labels: NDArray[np.uint8]
    label_names: tuple[str, ...]
    images: NDArray[np.uint8] | None
    texts: Tensor | None
    about: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write PNG files, texts as safetensors, and last the manifest, without which a folder is not read."""
        items: list[dict[str, Any]] = []
        for place, row in enumerate(self.rows.tolist()):
            item = {"row": row, "name": self.names[place], "labels": np.flatnonzero(self.labels[place]).tolist()}
            if self.images is not None:
                content = _png(self.images[place])
                item |= {"image": f"images/{row:06}.png", "hash": digest(content)}
                write_bytes(folder / item["image"], content)
            items.append(item)
        texts = None
        if self.texts is not None:
            save_tensors(folder / TEXTS, {"texts": self.texts})
            texts = {"width": self.texts.shape[1], "hash": digest((folder / TEXTS).read_bytes())}
        size = None if self.images is None else list(self.images.shape[2:])
        head = {"schema": SCHEMA, "about": self.about, "label_names": list(self.label_names)}
        write_json(folder / MANIFEST, head | {"image_size": size, "texts": texts, "items": items})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a whole folder.

        Raises:
            DataError: If a file is missing, damaged, of another version, or not the one that the manifest names.
        """
        content, labels = read_manifest(folder)
        items = content["items"]
        images = texts = None
        if content["image_size"] is not None:
            images = np.stack([read_image(folder, item, content["image_size"]) for item in items])
        if content["texts"] is not None:
            try:
                if digest((folder / TEXTS).read_bytes()) != content["texts"]["hash"]:
                    raise DataError(f"{folder / TEXTS} is not the file that the manifest names")
                texts = load_tensors(folder / TEXTS)["texts"]
            except (OSError, KeyError) as error:
                raise DataError(f"cannot read {folder / TEXTS}: {error}") from error
            if texts.dtype != torch.float32 or texts.shape != (len(items), content["texts"]["width"]):
                raise DataError(f"{folder / TEXTS}: {tuple(texts.shape)} {texts.dtype} for {len(items)} items")
        rows = np.array([item["row"] for item in items], np.int64)
        names = tuple(item["name"] for item in items)
        return cls(rows, names, labels, tuple(content["label_names"]), images, texts, content["about"])


class AdversarialImages(Dataset[tuple[Any, Any]]):
    """Adversarial images with the labels of their clean ones, in the form of torchvision's data sets.

    Args:
        root: Folder `adversarial` of a run with `evaluation.save_adversarial=true`.
        transform: Gets the PIL image; None gives it as it is.
        target_transform: Gets the labels, uint8 in {0, 1}, C.

    Attributes:
        label_names: C.

    Raises:
        DataError: If the folder is not a whole one, or has no images.

    Example:
        >>> import tempfile
        >>> one = np.zeros((1, 3, 4, 4), np.uint8)
        >>> found = AdversarialSet(np.array([7]), ("a",), np.array([[0, 1]], np.uint8), ("cat", "dog"), one, None, {})
        >>> found.save(Path(tempfile.gettempdir(), "aach_doctest"))
        >>> image, labels = AdversarialImages(Path(tempfile.gettempdir(), "aach_doctest"))[0]
        >>> image.size, labels.tolist()
        ((4, 4), [0, 1])
    """

    def __init__(
        self,
        root: Path | str,
        transform: Callable[[Image.Image], Any] | None = None,
        target_transform: Callable[[Tensor], Any] | None = None,
    ) -> None:
        self.root, self.transform, self.target_transform = Path(root), transform, target_transform
        content, labels = read_manifest(self.root)
        if content["image_size"] is None:
            raise DataError(f"{self.root} holds texts alone: the run had attack.modality=text")
        self.label_names = tuple(content["label_names"])
        self._items, self._size = content["items"], content["image_size"]
        self._labels = torch.from_numpy(labels)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """One image and its labels, each through its transform."""
        pixels = read_image(self.root, self._items[index], self._size)
        image, labels = Image.fromarray(pixels.transpose(1, 2, 0)), self._labels[index].clone()
        return (
            image if self.transform is None else self.transform(image),
            labels if self.target_transform is None else self.target_transform(labels),
        )


def read_manifest(folder: Path) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """The checked manifest of a folder, and the labels, uint8 Q x C.

    Raises:
        DataError: If it is missing, too large, of another version or wrong in a field.
    """
    path = folder / MANIFEST
    try:
        if path.stat().st_size > _LARGEST_MANIFEST:
            raise DataError(f"{path} has more than {_LARGEST_MANIFEST:,} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise DataError(f"{path} has schema {content['schema']!r}, this version reads {SCHEMA!r}")
        size, items = content["image_size"], content["items"]
        labels = np.zeros((len(items), len(content["label_names"])), np.uint8)
        for place, item in enumerate(items):
            labels[place, np.array(item["labels"], np.int64)] = 1
            if type(item["row"]) is not int or not isinstance(item["name"], str) or min(item["labels"], default=0) < 0:
                raise ValueError(f"item {place} is {item!r:.80}")
            if size is not None and not _IMAGE.fullmatch(item["image"]):  # a path could lead out of the folder
                raise ValueError(f"item {place} names the file {item['image']!r:.80}, which is no images/NUMBER.png")
        if size is not None and not (len(size) == 2 and all(type(side) is int and 0 < side < 2**14 for side in size)):
            raise ValueError(f"image_size is {size!r:.80}")
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(
            f"cannot read {path}: {error}. It is written last: without it the folder is not whole"
        ) from error
    return content, labels


def read_image(folder: Path, item: dict[str, Any], size: list[int]) -> NDArray[np.uint8]:
    """Pixels of one item, uint8 3 x H x W.

    Raises:
        DataError: If the file is missing, or is not the one that the manifest names.
    """
    path = folder / item["image"]
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_IMAGE + 1)
        if digest(content) != item["hash"]:
            raise DataError(f"{path} is not the file that the manifest names: its hash is another")
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if image.mode != "RGB" or [image.height, image.width] != size:
                raise DataError(f"{path}: {image.mode} {image.height} x {image.width}, the manifest says RGB {size}")
            return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
    except (OSError, ValueError, KeyError, SyntaxError) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
