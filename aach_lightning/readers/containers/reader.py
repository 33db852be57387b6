"""A pack in circulation as pairs."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aach_lightning.config.data import ContainerConfig
from aach_lightning.data.content import content_key
from aach_lightning.data.images import DecodedImages, ReadFile, content_of, decode_images
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.texts import TextVectors, text_vectors, unnamed
from aach_lightning.data.vocabulary import read_vocabulary
from aach_lightning.errors import ConfigError, DataError
from aach_lightning.readers.containers.files import open_variables
from aach_lightning.readers.containers.listed import find_files
from aach_lightning.readers.containers.part_rows import PartRows, pool_parts, read_rows
from aach_lightning.readers.containers.pixels import CONVERTER, pixel_reader
from aach_lightning.readers.containers.roles import find_parts
from aach_lightning.readers.foreign.guard import reading
from aach_lightning.runtime.files import digest

log = logging.getLogger(__name__)


@reading()
def container_pairs(*, cache: str, **options: Any) -> Pairs:
    """Read a pack: HDF5, MATLAB 5, .npy and text lists, in one file or several of one folder.

    Args:
        cache: Folder for converted images and embeddings.
        **options: The keys of `ContainerConfig`. Where texts are vectors, `vocabulary` names their columns.

    Returns:
        The pairs in the order of the pack. Parts of a pack that is split already are pooled: query, train, database;
        a train part that lies in the database counts once. `given` says which pairs were in which part.

    Raises:
        ConfigError: If the path does not exist, h5py is needed and missing, or the encoder is missing or finds no
            sentences.
        DataError: If the pack is damaged, holds features instead of pixels, or its layout is not known.
    """
    config = ContainerConfig(**options)
    path = f"data.path={config.path}"
    parts, given = pool_parts([read_rows(part) for part in find_parts(open_variables(Path(config.path)))])
    labels = _stacked([part.labels for part in parts], "labels", path)
    if not labels.any():
        raise DataError(f"{path}: no pair has a label; retrieval is measured by shared labels")
    if any(bool(part.sentences) != bool(parts[0].sentences) for part in parts):
        raise DataError(f"{path}: some parts hold sentences, others vectors of numbers")
    if config.encoder is not None and not parts[0].sentences:
        raise ConfigError(f"data.encoder={config.encoder}: must be null, the texts of {path} are vectors already")
    decoded = _images(parts, len(labels), config, Path(cache))
    texts, captions = _texts(parts, decoded.keep, config, cache)
    names = [name for part in parts for name in part.names]
    kept_names, kept_labels = [names[row] for row in decoded.keep], np.ascontiguousarray(labels[decoded.keep])
    label_names = tuple(f"label {column}" for column in range(labels.shape[1]))
    splits = [f"{part.split} ({len(part.labels):,})" for part in parts if part.split]
    note = f"Pooled from the pack's parts {', '.join(splits)}." if splits else ""
    log.info(
        "%s: %d pairs, texts %d wide, %d labels%s",
        *(config.name, len(kept_names), len(texts.words), len(label_names), note and f"; {note}"),
    )
    words = "\n".join((*kept_names, *texts.words, *label_names)).encode()
    content = (np.ascontiguousarray(texts.vectors).tobytes(), kept_labels.tobytes())
    return decoded.pairs(
        kept_names,
        texts,
        kept_labels,
        label_names,
        captions,
        note=note,
        given=None if given is None else given.among(decoded.keep),
        # unlike that of other readers, this hash counts the bytes of arrays, not their rows; stores depend on it
        fingerprint=digest(decoded.key.encode(), decoded.keep.tobytes(), words, *content),
    )


def _stacked(blocks: list[NDArray[Any]], what: str, path: str) -> NDArray[Any]:
    widths = {block.shape[1] for block in blocks}
    if len(widths) != 1:
        raise DataError(f"{path}: the parts of the pack have {what} of different width: {sorted(widths)}")
    return np.concatenate(blocks)


def _texts(
    parts: list[PartRows], keep: NDArray[np.int64], config: ContainerConfig, cache: str
) -> tuple[TextVectors, list[str]]:
    """Vectors of the kept rows, and what to print of each text."""
    if parts[0].sentences:
        every = [text for part in parts for text in part.sentences]
        kept = [every[row] for row in keep]
        made = text_vectors(kept, words=config.words, vocabulary=config.vocabulary, encoder=config.encoder, cache=cache)
        return made, kept
    given = [part.vectors for part in parts if part.vectors is not None]
    rows = _stacked(given, "texts", f"data.path={config.path}")
    vectors, width = np.ascontiguousarray(rows[keep]), rows.shape[1]
    known = read_vocabulary(Path(config.vocabulary)) if config.vocabulary else unnamed(width)
    if len(known) != width:
        raise DataError(f"data.vocabulary={config.vocabulary}: {len(known)} words for texts {width} wide")
    if vectors.dtype == np.uint8:  # of bags of words in all parts
        captions = [" ".join(known[column] for column in np.flatnonzero(row)) for row in vectors]
        return TextVectors(vectors, known, 0.0, 1.0), captions
    return TextVectors(vectors, known, *_range(given)), [""] * len(vectors)


def _range(parts: list[NDArray[Any]]) -> tuple[float, float]:
    """Smallest and largest entry that texts may have: a bag of words has the range [0, 1], anything else its own."""
    bounds = [(0.0, 1.0) if part.dtype == np.uint8 else (float(part.min()), float(part.max())) for part in parts]
    return min(low for low, _ in bounds), max(high for _, high in bounds)


def _images(parts: list[PartRows], count: int, config: ContainerConfig, cache: Path) -> DecodedImages:
    listed = [row for part in parts for row in part.listed]
    size, path = config.image_size, Path(config.path)
    if listed:
        if len(listed) != count:
            raise DataError(f"data.path={path}: some parts hold pixels, others list files")
        root = Path(config.images) if config.images else path if path.is_dir() else path.parent
        if not root.is_dir():
            raise ConfigError(f"data.images={root}: must be the folder of the images that the pack lists")
        files = find_files(listed, root, str(path))
        place = f"data.path={path}, looked for in data.images={root},"
        read: Any = ReadFile(files, size)
        key = content_of(files, size)
    else:
        arrays = [(part.images, len(part.labels)) for part in parts]
        stated = [f"{variable.key} {content_key(variable.file, cache)}" for variable, _ in arrays]
        key = digest(CONVERTER.encode(), str(size).encode(), *(text.encode() for text in stated))
        place, read = f"data.path={path}", pixel_reader(arrays, size, cache / f"{key}.unpacked")
    return decode_images(
        read,
        count,
        key=key,
        size=size,
        on_damaged=config.on_damaged,
        name=config.name,
        place=place,
        cache=str(cache),
    )
