"""A pack in circulation as pairs."""

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from aach_lightning.data.cache import cached_images
from aach_lightning.data.content import content_key
from aach_lightning.data.images import DECODER, ReadFile
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.texts import text_vectors, unnamed
from aach_lightning.data.vocabulary import read_vocabulary
from aach_lightning.errors import ConfigError, DataError
from aach_lightning.readers.containers.listed import find_files
from aach_lightning.readers.containers.matrices import Texts
from aach_lightning.readers.containers.part_rows import PartRows, read_rows
from aach_lightning.readers.containers.pixels import CONVERTER, ReadPixels, ReadUnplanned, unpacked
from aach_lightning.readers.containers.pooled import pool_parts
from aach_lightning.readers.containers.roles import find_parts
from aach_lightning.readers.containers.source import open_variables
from aach_lightning.readers.foreign.guard import reading
from aach_lightning.runtime.files import digest

log = logging.getLogger(__name__)


@reading()
def container_pairs(
    *,
    name: str,
    path: str,
    images: str | None,
    image_size: int,
    words: int,
    vocabulary: str | None,
    encoder: str | None,
    on_damaged: Literal["error", "skip"],
    cache: str,
) -> Pairs:
    """Read a pack: HDF5, MATLAB 5, .npy and text lists, in one file or several of one folder.

    Args:
        name: Name of the data set in results.
        path: The file, or the folder of the files.
        images: Folder of the image files that a pack lists; None for the folder of the pack.
        image_size: Height and width of the images in pixels; packs of another size are resized.
        words: Size of the vocabulary that is built where the texts are sentences and no vocabulary is given.
        vocabulary: Text file with one word a line: the vocabulary of sentences, or the names of the columns of a bag of
            words; or None.
        encoder: Makes embeddings of texts that are sentences, see `text_vectors`; None for bags of words.
        on_damaged: Stop at missing or damaged images, or leave their pairs out and count them.
        cache: Folder for converted images and embeddings.

    Returns:
        The pairs in the order of the pack. Parts of a pack that is split already are pooled: query, train, database;
        a train part that lies in the database counts once. `given` says which pairs were in which part.

    Raises:
        ConfigError: If the path does not exist, h5py is needed and missing, or the encoder is missing or finds no
            sentences.
        DataError: If the pack is damaged, holds features instead of pixels, or its layout is not known.
    """
    parts, given = pool_parts([read_rows(part) for part in find_parts(open_variables(Path(path)))])
    labels = _stacked([part.labels for part in parts], "labels", path)
    if not labels.any():
        raise DataError(f"data.path={path}: no pair has a label; retrieval is measured by shared labels")
    if encoder is not None and not all(part.sentences for part in parts):
        raise ConfigError(f"data.encoder={encoder}: must be null, the texts of data.path={path} are vectors already")
    names = tuple(row for part in parts for row in part.names)
    pixels, damaged, key = _images(parts, name, Path(path), images, image_size, Path(cache))
    if damaged and (on_damaged == "error" or len(damaged) == len(names)):
        listed = "\n  ".join(list(damaged.values())[:10])
        raise DataError(
            f"{len(damaged)} of {len(names)} images of data.path={path} cannot be read:\n  {listed}\n"
            f"Where pictures are listed, data.images must be their folder. Repair damaged ones, or leave their pairs "
            f"out with data.on_damaged=skip."
        )
    keep = np.array([row for row in range(len(names)) if row not in damaged], dtype=np.int64)
    if damaged:
        log.warning("%s: left out %d of %d pairs without a readable image", name, len(damaged), len(names))
    texts, known, captions = _texts(parts, keep, words, vocabulary, encoder, path, cache)
    kept_names, kept_labels = tuple(names[row] for row in keep), np.ascontiguousarray(labels[keep])
    label_names = tuple(f"label {column}" for column in range(labels.shape[1]))
    splits = [f"{part.split} ({len(part.labels):,})" for part in parts if part.split]
    note = f"Pooled from the pack's parts {', '.join(splits)}." if splits else ""
    log.info(
        "%s: %d pairs, texts %d wide, %d labels%s", name, len(keep), len(known), len(label_names), note and f"; {note}"
    )
    return Pairs(
        name=name,
        names=kept_names,
        images=pixels,
        texts=texts.vectors,
        labels=kept_labels,
        label_names=label_names,
        words=known,
        text_low=texts.low,
        text_high=texts.high,
        fingerprint=digest(
            key.encode(),
            keep.tobytes(),
            "\n".join((*kept_names, *known, *label_names)).encode(),
            np.ascontiguousarray(texts.vectors).tobytes(),
            kept_labels.tobytes(),
        ),
        captions=captions,
        image_rows=keep if damaged else None,
        note=note,
        skipped=len(damaged),
        given=None if given is None else given.among(keep),
    )


def _stacked(blocks: list[NDArray[Any]], what: str, path: str) -> NDArray[Any]:
    widths = {block.shape[1] for block in blocks}
    if len(widths) != 1:
        raise DataError(f"data.path={path}: the parts of the pack have {what} of different width: {sorted(widths)}")
    return np.concatenate(blocks)


def _texts(
    parts: list[PartRows],
    keep: NDArray[np.int64],
    size: int,
    vocabulary: str | None,
    encoder: str | None,
    path: str,
    cache: str,
) -> tuple[Texts, tuple[str, ...], tuple[str, ...]]:
    """Vectors, the names of their columns, and what to print of each text."""
    if any(bool(part.sentences) != bool(parts[0].sentences) for part in parts):
        raise DataError(f"data.path={path}: some parts hold sentences, others vectors of numbers")
    if parts[0].sentences:
        every = [text for part in parts for text in part.sentences]
        kept = [every[row] for row in keep]
        made = text_vectors(kept, words=size, vocabulary=vocabulary, encoder=encoder, cache=cache)
        return Texts(made.vectors, made.low, made.high), made.words, tuple(kept)
    known = read_vocabulary(Path(vocabulary)) if vocabulary else ()
    given = [part.texts for part in parts if part.texts]
    rows = _stacked([texts.vectors for texts in given], "texts", path)
    vectors, width = np.ascontiguousarray(rows[keep]), rows.shape[1]
    if known and len(known) != width:
        raise DataError(f"data.vocabulary={vocabulary}: {len(known)} words for texts {width} wide")
    known = known or unnamed(width)
    is_bag = vectors.dtype == np.uint8
    captions = tuple(" ".join(known[column] for column in np.flatnonzero(row)) if is_bag else "" for row in vectors)
    low, high = min(texts.low for texts in given), max(texts.high for texts in given)
    return Texts(vectors, low, high), known, captions


def _images(
    parts: list[PartRows], name: str, path: Path, folder: str | None, size: int, cache: Path
) -> tuple[NDArray[np.uint8], dict[int, str], str]:
    """Pixels, reasons of damaged rows, and the key of the content."""
    description = f"converting {name}"
    listed = [row for part in parts for row in part.listed]
    count = sum(len(part.labels) for part in parts)
    if listed:
        if len(listed) != count:
            raise DataError(f"data.path={path}: some parts hold pixels, others list files")
        root = Path(folder) if folder else path if path.is_dir() else path.parent
        if not root.is_dir():
            raise ConfigError(f"data.images={root}: must be the folder of the images that the pack lists")
        files = find_files(listed, root, str(path))
        key = digest(DECODER.encode(), str(size).encode(), *(_content(file) for file in files))
        return *cached_images(cache, key, count, size, ReadFile(files, size), description), key
    arrays = [(part.images, len(part.labels)) for part in parts]
    stated = [f"{variable.key} {content_key(variable.file, cache)}" for variable, _ in arrays]
    key = digest(CONVERTER.encode(), str(size).encode(), *(text.encode() for text in stated))
    with FileLock(str(cache / f"{key}.unpacked.lock")):  # two processes must not unpack into the same files
        if (cache / f"{key}.npy").is_file():  # planning again would read a whole MATLAB 5 array
            late = ReadUnplanned(tuple((variable.file, variable.key, rows) for variable, rows in arrays), size)
            return *cached_images(cache, key, count, size, late, description), key
        with unpacked(arrays, cache / f"{key}.unpacked") as plans:
            return *cached_images(cache, key, count, size, ReadPixels(plans, size), description), key


def _content(file: Path) -> bytes:
    try:
        return digest(file.read_bytes()).encode()
    except OSError:
        return b"unreadable"
