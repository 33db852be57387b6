"""Anyone's own data: a folder with `pairs.csv` (id, image, text, labels separated by `|`) and the images."""

import csv
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from aach_lightning.data.cache import cached_images
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.vocabulary import bag_of_words, build_vocabulary, read_vocabulary
from aach_lightning.runtime.errors import ConfigError, DataError
from aach_lightning.runtime.files import digest

log = logging.getLogger(__name__)

COLUMNS = ("id", "image", "text", "labels")
MAX_PIXELS = 100_000_000
MAX_CSV_BYTES = 2**30
_DECODER = "rgb-squash-bicubic-1"  # part of the cache key: change it when decoding changes


@dataclass(frozen=True)
class ReadFile:
    """Decodes row r of `files` to uint8 3 x size x size: RGB, upright, squashed to a square as the field does."""

    files: tuple[Path, ...]
    size: int

    def __call__(self, row: int) -> NDArray[np.uint8]:
        """Decode one file.

        Raises:
            DataError: If the file is missing, damaged, or larger than MAX_PIXELS.
        """
        path = self.files[row]
        try:
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DataError(f"{path}: {image.width} x {image.height} pixels, more than {MAX_PIXELS:,} allowed")
                image.draft("RGB", (2 * self.size, 2 * self.size))
                upright = ImageOps.exif_transpose(image).convert("RGB")
                pixels = np.asarray(upright.resize((self.size, self.size), Image.Resampling.BICUBIC, reducing_gap=3.0))
        except (DataError, MemoryError):
            raise
        except Exception as error:  # Pillow's decoders of damaged files raise almost anything, struct.error among it
            raise DataError(f"{path}: {error}") from error
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def folder_pairs(
    *,
    name: str,
    root: str,
    image_size: int,
    words: int,
    vocabulary: str | None,
    on_damaged: Literal["error", "skip"],
    cache: str,
) -> Pairs:
    """Read a folder of pairs.

    Args:
        name: Name of the data set in results.
        root: Folder with `pairs.csv`; image paths in it are relative to this folder and may not leave it.
        image_size: Height and width of the decoded images in pixels.
        words: Size of the vocabulary that is built from the texts where none is given.
        vocabulary: Text file with one word a line, or None.
        on_damaged: Stop at missing or damaged images, or leave their pairs out and count them.
        cache: Folder for decoded images.

    Returns:
        The pairs, in the order of the file; texts are bags of words in {0, 1}.

    Raises:
        ConfigError: If the folder or its pairs.csv does not exist.
        DataError: If the table or an image is damaged.
    """
    folder = Path(root)
    ids, images, texts, labels = _read_table(folder)
    files = tuple(folder / image for image in images)
    key = digest(_DECODER.encode(), str(image_size).encode(), *(_content(file) for file in files))
    pixels, damaged = cached_images(
        Path(cache), key, len(files), image_size, ReadFile(files, image_size), f"decoding {name}"
    )
    if damaged and on_damaged == "error":
        listed = "\n  ".join(list(damaged.values())[:10])
        raise DataError(
            f"{len(damaged)} of {len(files)} images of data.root={root} cannot be read:\n  {listed}\n"
            f"Repair them, or leave their pairs out with data.on_damaged=skip."
        )
    keep = np.array([row for row in range(len(files)) if row not in damaged], dtype=np.int64)
    if damaged:
        log.warning("%s: left out %d of %d pairs without a readable image", name, len(damaged), len(files))
    if not len(keep):
        raise DataError(f"data.root={root}: not one of {len(files)} images can be read")
    kept_texts = [texts[row] for row in keep]
    known = read_vocabulary(Path(vocabulary)) if vocabulary else build_vocabulary(kept_texts, words)
    label_names = tuple(sorted({label for row in labels for label in row}))
    column = {label: position for position, label in enumerate(label_names)}
    marks = np.zeros((len(keep), len(label_names)), dtype=np.uint8)
    for position, row in enumerate(keep):
        marks[position, [column[label] for label in labels[row]]] = 1
    vectors = bag_of_words(kept_texts, known)
    names = tuple(ids[row] for row in keep)
    return Pairs(
        name=name,
        names=names,
        images=pixels,
        texts=vectors,
        labels=marks,
        label_names=label_names,
        words=known,
        text_low=0.0,
        text_high=1.0,
        fingerprint=digest(
            key.encode(), keep.tobytes(), "\n".join((*names, *known, *label_names)).encode(), vectors.data, marks.data
        ),
        captions=tuple(kept_texts),
        image_rows=keep if damaged else None,
        skipped=len(damaged),
    )


def _read_table(folder: Path) -> tuple[list[str], list[str], list[str], list[list[str]]]:
    path = folder / "pairs.csv"
    if not path.is_file():
        raise ConfigError(
            f"data.root={folder}: there is no file {path}. It must be a folder with a pairs.csv whose header is "
            f"{','.join(COLUMNS)} and whose image paths are relative to the folder."
        )
    if path.stat().st_size > MAX_CSV_BYTES:
        raise DataError(f"{path}: {path.stat().st_size:,} bytes, more than {MAX_CSV_BYTES:,} allowed")
    ids: dict[str, int] = {}
    images, texts, labels = [], [], []
    root = folder.resolve()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            if reader.fieldnames is None or set(COLUMNS) - set(reader.fieldnames):
                raise DataError(f"{path}: the header is {reader.fieldnames}, it must name {', '.join(COLUMNS)}")
            for row in reader:
                line = f"{path}, line {reader.line_num}"
                if None in row or any(row[column] is None for column in COLUMNS):
                    raise DataError(f"{line}: more or fewer fields than the header")
                if row["id"] in ids:
                    raise DataError(f"{line}: id {row['id']!r} stands already in line {ids[row['id']]}")
                if not (root / row["image"]).resolve().is_relative_to(root):
                    raise DataError(f"{line}: image {row['image']!r} leaves the folder {folder}")
                ids[row["id"]] = reader.line_num
                images.append(row["image"])
                texts.append(row["text"])
                labels.append([label.strip() for label in row["labels"].split("|") if label.strip()])
    except (csv.Error, ValueError, OSError) as error:  # ValueError: not UTF-8, or a zero byte in a file name
        raise DataError(f"{path}: {error}") from error
    if not ids:
        raise DataError(f"{path}: no pairs below the header")
    if not any(labels):
        raise DataError(f"{path}: no pair has a label; retrieval is measured by shared labels")
    return list(ids), images, texts, labels


def _content(path: Path) -> bytes:
    try:
        return digest(path.read_bytes()).encode()
    except OSError:
        return b"unreadable"
