"""Anyone's own data: a folder with `pairs.csv` (id, image, text, labels separated by `|`) and the images."""

import csv
from pathlib import Path
from typing import Literal

import numpy as np

from aach_lightning.data.images import DECODER, decode_files
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.texts import text_vectors
from aach_lightning.errors import ConfigError, DataError
from aach_lightning.runtime.files import digest

COLUMNS = ("id", "image", "text", "labels")
MAX_CSV_BYTES = 2**30


def folder_pairs(
    *,
    name: str,
    root: str,
    image_size: int,
    words: int,
    vocabulary: str | None,
    encoder: str | None,
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
        encoder: Makes embeddings of the texts, see `text_vectors`; None for bags of words.
        on_damaged: Stop at missing or damaged images, or leave their pairs out and count them.
        cache: Folder for decoded images and embeddings.

    Returns:
        The pairs, in the order of the file; texts are bags of words in {0, 1} or embeddings in [-1, 1].

    Raises:
        ConfigError: If the folder, its pairs.csv or the encoder does not exist.
        DataError: If the table, an image or the encoder is damaged.
    """
    folder = Path(root)
    ids, images, texts, labels = _read_table(folder)
    files = tuple(folder / image for image in images)
    key = digest(DECODER.encode(), str(image_size).encode(), *(_content(file) for file in files))
    decoded = decode_files(files, key=key, size=image_size, on_damaged=on_damaged, name=name, root=root, cache=cache)
    keep = decoded.keep
    kept_texts = [texts[row] for row in keep]
    made = text_vectors(kept_texts, words=words, vocabulary=vocabulary, encoder=encoder, cache=cache)
    label_names = tuple(sorted({label for row in labels for label in row}))
    column = {label: position for position, label in enumerate(label_names)}
    marks = np.zeros((len(keep), len(label_names)), dtype=np.uint8)
    for position, row in enumerate(keep):
        marks[position, [column[label] for label in labels[row]]] = 1
    names = tuple(ids[row] for row in keep)
    return Pairs(
        name=name,
        names=names,
        images=decoded.pixels,
        texts=made.vectors,
        labels=marks,
        label_names=label_names,
        words=made.words,
        text_low=made.low,
        text_high=made.high,
        fingerprint=digest(
            key.encode(),
            keep.tobytes(),
            "\n".join((*names, *made.words, *label_names)).encode(),
            made.vectors.data,
            marks.data,
        ),
        captions=tuple(kept_texts),
        image_rows=decoded.image_rows,
        skipped=decoded.skipped,
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
