"""NUS-WIDE (Chua et al., CIVR 2009) from its official lists: photos, 1,000 tags, the most frequent of 81 labels."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aach_lightning.config.data import NusWideConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.texts import TextVectors
from aach_lightning.errors import ConfigError, DataError
from aach_lightning.readers.original.files import (
    find_part,
    parse_marks,
    read_content,
    read_lines,
    read_words,
    relative_image,
)
from aach_lightning.readers.original.listing import Count, Listing, listed_pairs
from aach_lightning.readers.original.remembered import remembered

log = logging.getLogger(__name__)

PARSER = "nuswide-1"
"""Part of the key of what is remembered: change it when other pairs come out of the same lists."""
FIELD_LABELLED = {21: 195_834, 10: 186_577}
"""Images with one of the most frequent 21 or 10 labels, with or without a text; what most papers call the pairs."""
FIELD_PAIRS = {21: 190_421, 10: 181_365}
"""Those that have a text too."""


def nuswide_pairs(*, cache: str, **options: Any) -> Pairs:
    r"""Read `ImageList/Imagelist.txt`, `Groundtruth/AllLabels/Labels_*.txt` and `NUS_WID_Tags/AllTags1k.txt`.

    The makers distribute lists and addresses, not photos; wherever these come from, they are looked for in `Flickr/`,
    `images/` and the folder itself, in the folders of the list (`actor\0001_2124494179.jpg`) or all in one.

    Args:
        cache: Folder for decoded images.
        **options: The keys of `NusWideConfig`.

    Returns:
        The pairs with a kept label and a tag, in the order of the list; texts are bags of tags in {0, 1}.

    Raises:
        ConfigError: If a part of the distribution is missing or there are fewer labels.
        DataError: If a file is damaged or its length is not that of the list of images.
    """
    config = NusWideConfig(**options)
    name, root, labels = config.name, config.root, config.labels
    lists = _find_lists(name, root)
    if len(lists.concepts) < labels:
        raise ConfigError(f"data.labels={labels}: NUS-WIDE in data.root={root} has {len(lists.concepts)} labels")
    listing = remembered(Path(cache), lists.all, [PARSER, labels], partial(_parse, lists, labels))
    log.info("%s: the %d most frequent labels are %s", name, labels, ", ".join(listing.label_names))
    return listed_pairs(listing, _find_images(root, listing.files), config, cache)


@dataclass(frozen=True)
class _Lists:
    images: Path
    concepts: tuple[str, ...]
    labels: tuple[Path, ...]
    tags: Path
    tag_names: Path | None

    @property
    def all(self) -> list[Path]:
        return [path for path in (self.images, *self.labels, self.tags, self.tag_names) if path is not None]


def _find_lists(name: str, root: str) -> _Lists:
    images = find_part(root, "the list of images", "ImageList/Imagelist.txt", "Imagelist.txt")
    concepts = read_words(find_part(root, "the list of labels", "ConceptsList/Concepts81.txt", "Concepts81.txt"))
    folder = find_part(root, "the folder of labels", "Groundtruth/AllLabels", "AllLabels")
    tags = find_part(root, "the tags", "NUS_WID_Tags/AllTags1k.txt", "AllTags1k.txt")
    try:
        tag_names = find_part(root, "the names of the tags", *(f"{place}TagList1k.txt" for place in _TAG_LISTS))
    except ConfigError as error:
        log.warning("%s: tags are called by their number (%s)", name, error)
        tag_names = None
    labels = tuple(folder / f"Labels_{relative_image(label, 'Concepts81.txt').name}.txt" for label in concepts)
    return _Lists(images, tuple(concepts), labels, tags, tag_names)


def _parse(lists: _Lists, labels: int) -> Listing:
    listed = [
        relative_image(line.decode("utf-8-sig", "replace"), f"{lists.images}, line {number}")
        for number, line in enumerate(read_lines(lists.images), 1)
    ]
    label_names, marks = _read_labels(lists, len(listed), labels)
    labelled = np.asarray(marks.any(1))
    texts = _read_tags(lists.tags, labelled, lists.images)
    words = _read_tag_names(lists.tag_names, texts.shape[1])
    tagged = texts.any(1)
    keep = np.flatnonzero(labelled)[tagged]
    texts = texts[tagged]
    kept = [listed[row] for row in keep]
    return Listing(
        names=[str(path.with_suffix("")) for path in kept],
        files=[str(path) for path in kept],
        texts=TextVectors(texts, words, 0.0, 1.0),
        labels=marks[keep],
        label_names=label_names,
        captions=[" ".join(words[column] for column in np.flatnonzero(row)) for row in texts],
        counts=[
            Count("listed images", len(listed), 269_648),
            Count(f"images with one of the {labels} labels", int(labelled.sum()), FIELD_LABELLED.get(labels)),
            Count("those without a tag", int((~tagged).sum())),
            Count("pairs with a label and a tag", len(keep), FIELD_PAIRS.get(labels)),
        ],
    )


def _read_labels(lists: _Lists, images: int, kept: int) -> tuple[tuple[str, ...], NDArray[np.uint8]]:
    """Names of the most frequent labels, in the order of the list of labels, and uint8 N x C marks."""
    marks = np.stack([parse_marks(read_content(path), images, str(path)) for path in lists.labels], axis=1)
    # stable: of equally frequent labels, the first in the list are kept
    most = np.sort(np.argsort(-marks.sum(0, dtype=np.int64), kind="stable")[:kept])
    return tuple(lists.concepts[column] for column in most), np.ascontiguousarray(marks[:, most])


def _read_tags(path: Path, wanted: NDArray[np.bool_], image_list: Path) -> NDArray[np.uint8]:
    """uint8 M x D tags of the M wanted rows; every row is checked."""
    texts = np.zeros((0, 0), dtype=np.uint8)
    rows = filled = 0
    for line in read_lines(path):
        if rows == 0:
            texts = np.zeros((int(wanted.sum()), len(line.split())), dtype=np.uint8)
        marks = parse_marks(line, texts.shape[1], f"{path}, line {rows + 1}")
        if rows < len(wanted) and wanted[rows]:
            texts[filled] = marks
            filled += 1
        rows += 1
    if rows != len(wanted):
        raise DataError(f"{path}: {rows:,} rows, but {image_list} lists {len(wanted):,} images")
    return texts


def _read_tag_names(path: Path | None, width: int) -> tuple[str, ...]:
    if path is None:
        return tuple(f"tag{column + 1}" for column in range(width))
    words = tuple(read_words(path))
    if len(words) != width:
        raise DataError(f"{path}: {len(words):,} names for {width:,} tags")
    return words


_TAG_LISTS = ("NUS_WID_Tags/", "ConceptsList/", "")


def _find_images(root: str, paths: Sequence[str]) -> list[str]:
    """Where the photos are; if none of the first thousand is anywhere, there are none."""
    places = [Path(root) / place for place in ("Flickr", "images", "")]
    for place in places:
        if any((place / path).is_file() for path in paths[:1000]):
            return [f"{place}/{path}" for path in paths]
        if any((place / _last(path)).is_file() for path in paths[:1000]):
            return [f"{place}/{_last(path)}" for path in paths]
    if not paths:
        return []
    raise ConfigError(
        f"data.root={root}: the photos are missing. Looked for {paths[0]} and {_last(paths[0])} in "
        f"{', '.join(map(str, places))}."
    )


def _last(path: str) -> str:
    return path.rsplit("/", 1)[-1]
