"""MS-COCO 2014 (Lin et al., ECCV 2014) from its official folders: one caption an image, 80 labels."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from aach_lightning.config.data import CocoConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.texts import TextVectors, text_vectors
from aach_lightning.data.vocabulary import memberships
from aach_lightning.errors import DataError
from aach_lightning.readers.original.files import find_part, relative_image
from aach_lightning.readers.original.listing import Count, Listing, listed_pairs
from aach_lightning.readers.original.remembered import remembered
from aach_lightning.runtime.files import digest

PARSER = "mscoco-1"
"""Part of the key of what is remembered: change it when other pairs come out of the same files."""
_USED = {"images", "annotations", "categories", "id", "file_name", "image_id", "category_id", "name", "caption"}


@dataclass(frozen=True)
class _Part:
    instances: Path
    captions: Path
    folder: PurePosixPath  # below the root


@dataclass(slots=True)
class _Photo:
    file: str  # below the root
    labels: set[str] = field(default_factory=set)
    captions: dict[int, str] = field(default_factory=dict)


def mscoco_pairs(*, cache: str, **options: Any) -> Pairs:
    """Read `annotations/{instances,captions}_{train,val}2014.json`, `train2014/` and `val2014/`.

    Args:
        cache: Folder for decoded images and embeddings.
        **options: The keys of `CocoConfig`. Which caption of an image is chosen does not depend on the others.

    Returns:
        The pairs with a label and a text (for a bag of words, a word of the vocabulary), train2014 before val2014, each
        by image number; texts are bags of words in {0, 1} or embeddings in [-1, 1], labels in alphabetical order.

    Raises:
        ConfigError: If a part of the distribution or the encoder is missing.
        DataError: If a file or the encoder is damaged.
    """
    config = CocoConfig(**options)
    root, seed = config.root, config.caption_seed
    parts = [_find_part(root, part) for part in ("train2014", "val2014")]
    lists = [path for part in parts for path in (part.instances, part.captions)]
    dependencies = [PARSER, [str(part.folder) for part in parts], seed]
    read = remembered(Path(cache), lists, dependencies, partial(_parse, root, parts, seed))
    listing = _with_texts(read, config, cache)
    return listed_pairs(listing, [f"{Path(root)}/{file}" for file in listing.files], config, cache)


def _parse(root: str, parts: Sequence[_Part], caption_seed: int) -> Listing:
    """All images with a label and a caption, without text vectors."""
    photos: dict[int, _Photo] = {}
    label_names: set[str] = set()
    for part in parts:
        found, names = _read_part(part)
        if shared := photos.keys() & found.keys():
            raise DataError(f"data.root={root}: image {min(shared)} stands in train2014 and in val2014")
        photos.update(sorted(found.items()))
        label_names |= names
    labelled = {number: photo for number, photo in photos.items() if photo.labels}
    captioned = {number: photo for number, photo in labelled.items() if photo.captions}
    columns = tuple(sorted(label_names))
    return Listing(
        names=[PurePosixPath(photo.file).stem for photo in captioned.values()],
        files=[photo.file for photo in captioned.values()],
        texts=TextVectors(np.zeros((len(captioned), 0), np.uint8), (), 0.0, 1.0),
        labels=memberships([photo.labels for photo in captioned.values()], columns),
        label_names=columns,
        captions=[choose_caption(photo.captions, number, caption_seed) for number, photo in captioned.items()],
        counts=[
            Count("images of train2014 and val2014", len(photos), 123_287),
            Count("labels", len(columns), 80),
            Count("images with a label", len(labelled), 122_218),
            Count("those without a caption", len(labelled) - len(captioned)),
        ],
    )


def _with_texts(read: Listing, config: CocoConfig, cache: str) -> Listing:
    """The pairs whose caption says something: a word of the vocabulary, or anything at all where it is embedded."""
    texts = text_vectors(
        read.captions, words=config.words, vocabulary=config.vocabulary, encoder=config.encoder, cache=cache
    )
    keep = np.flatnonzero(texts.vectors.any(1))
    kept = keep.tolist()
    unread = "is blank" if config.encoder else "has no word of the vocabulary"
    return replace(
        read,
        names=[read.names[row] for row in kept],
        files=[read.files[row] for row in kept],
        texts=replace(texts, vectors=texts.vectors[keep]),
        labels=read.labels[keep],
        captions=[read.captions[row] for row in kept],
        counts=[
            *read.counts,
            Count(f"those whose caption {unread}", len(read.captions) - len(keep)),
            Count("pairs with a label and a text", len(keep), 122_218),
        ],
    )


def choose_caption(captions: Mapping[int, str], image: int, seed: int) -> str:
    """Choose one of the captions of an image: always the same one for the same seed.

    Args:
        captions: Caption number to caption, at least one.
        image: Image number.
        seed: The choice.

    Example:
        >>> choose_caption({7: "a dog"}, image=1, seed=0)
        'a dog'
    """
    position = int(digest(f"{seed} {image}".encode()), 16) % len(captions)
    return captions[sorted(captions)[position]]


def _find_part(root: str, part: str) -> _Part:
    folder = find_part(root, f"the folder of {part}", part, f"images/{part}")
    return _Part(
        instances=find_part(root, f"the labels of {part}", f"annotations/instances_{part}.json"),
        captions=find_part(root, f"the captions of {part}", f"annotations/captions_{part}.json"),
        folder=PurePosixPath(folder.relative_to(root).as_posix()),
    )


def _read_part(part: _Part) -> tuple[dict[int, _Photo], set[str]]:
    """Images with their labels and captions, and all labels that there are."""
    path, content = part.instances, _read_json(part.instances)
    photos: dict[int, _Photo] = {}
    for entry in _entries(content, "images", {"id": int, "file_name": str}, path):
        photos[entry["id"]] = _Photo(str(part.folder / relative_image(entry["file_name"], str(path))))
    names = {entry["id"]: entry["name"] for entry in _entries(content, "categories", {"id": int, "name": str}, path)}
    for entry in _entries(content, "annotations", {"image_id": int, "category_id": int}, path):
        if entry["image_id"] not in photos or entry["category_id"] not in names:
            raise DataError(f"{path}: an annotation names an image or a category that is not listed: {entry}")
        photos[entry["image_id"]].labels.add(names[entry["category_id"]])
    path, required = part.captions, {"id": int, "image_id": int, "caption": str}
    for entry in _entries(_read_json(path), "annotations", required, path):
        if entry["image_id"] not in photos:
            raise DataError(f"{path}: image {entry['image_id']} has a caption, but {part.instances} does not list it")
        photos[entry["image_id"]].captions[entry["id"]] = " ".join(entry["caption"].split())
    return photos, set(names.values())


def _read_json(path: Path) -> Any:
    def used(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # outlines are most of these files: they are dropped while parsing
        return {key: value for key, value in pairs if key in _USED}

    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=used)
    except OSError as error:
        raise DataError(f"{path}: cannot read it: {error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot read it as JSON: {error}") from error


def _entries(content: Any, key: str, required: Mapping[str, type], path: Path) -> Sequence[dict[str, Any]]:
    """The list under `key`, each entry of which has the required values."""
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise DataError(f"{path}: there is no list {key!r} in it")
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict) or any(type(entry.get(name)) is not kind for name, kind in required.items()):
            needed = ", ".join(f"{name} ({kind.__name__})" for name, kind in required.items())
            raise DataError(f"{path}: entry {position} of {key!r} is {str(entry)[:200]}; it needs {needed}")
    return entries
