"""Anyone's own data: a folder with `pairs.csv` (id, image, text, labels separated by `|`) and the images."""

import csv
from pathlib import Path
from typing import Any

from aach_lightning.config.data import FolderConfig
from aach_lightning.data.images import content_of, decode_files
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.texts import text_vectors
from aach_lightning.data.vocabulary import memberships
from aach_lightning.errors import ConfigError, DataError

COLUMNS = ("id", "image", "text", "labels")
MAX_CSV_BYTES = 2**30


def folder_pairs(*, cache: str, **options: Any) -> Pairs:
    """Read a folder of pairs.

    Args:
        cache: Folder for decoded images and embeddings.
        **options: The keys of `FolderConfig`.

    Returns:
        The pairs, in the order of the file; texts are bags of words in {0, 1} or embeddings in [-1, 1].

    Raises:
        ConfigError: If the folder, its pairs.csv or the encoder does not exist.
        DataError: If the table, an image or the encoder is damaged.
    """
    config = FolderConfig(**options)
    folder = Path(config.root)
    ids, images, texts, labels = _read_table(folder)
    files = tuple(folder / image for image in images)
    decoded = decode_files(
        files,
        key=content_of(files, config.image_size),
        size=config.image_size,
        on_damaged=config.on_damaged,
        name=config.name,
        root=config.root,
        cache=cache,
    )
    kept = [texts[row] for row in decoded.keep]
    made = text_vectors(kept, words=config.words, vocabulary=config.vocabulary, encoder=config.encoder, cache=cache)
    label_names = tuple(sorted({label for row in labels for label in row}))
    marks = memberships([labels[row] for row in decoded.keep], label_names)
    return decoded.pairs([ids[row] for row in decoded.keep], made, marks, label_names, kept)


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
