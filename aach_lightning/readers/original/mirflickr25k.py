"""MIRFlickr-25K (Huiskes and Lew, MIR 2008) from its official folders: photos, tags as bags of words, 24 labels."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aach_lightning.config.data import MirFlickrConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.texts import TextVectors, text_vectors
from aach_lightning.data.vocabulary import memberships
from aach_lightning.errors import ConfigError, DataError
from aach_lightning.readers.original.files import find_part, read_lines, read_words
from aach_lightning.readers.original.listing import Count, Listing, listed_pairs

LABELS = (
    *("animals", "baby", "bird", "car", "clouds", "dog", "female", "flower", "food"),
    *("indoor", "lake", "male", "night", "people", "plant_life", "portrait", "river"),
    *("sea", "sky", "structures", "sunset", "transport", "tree", "water"),
)
"""The potential labels; the stricter ones, whose files end in _r1, are not used by the field."""
FIELD_TAG_IMAGES = 20


def mirflickr25k_pairs(*, cache: str, **options: Any) -> Pairs:
    """Read `mirflickr/im{n}.jpg`, `mirflickr/meta/tags/tags{n}.txt` and `annotations/<label>.txt`.

    Args:
        cache: Folder for decoded images and embeddings.
        **options: The keys of `MirFlickrConfig`; 20 `tag_images` give the field's 1,386 tags.

    Returns:
        The pairs with a kept tag and a label, by image number; texts are bags of the kept tags, the most frequent
        first, in {0, 1}, or embeddings of all tags of an image in their order, in [-1, 1].

    Raises:
        ConfigError: If a part of the distribution, or the encoder, is missing.
        DataError: If a file is damaged or no tag is frequent enough.
    """
    config = MirFlickrConfig(**options)
    root, most = Path(config.root), config.tag_images
    photos = root / "mirflickr" if (root / "mirflickr").is_dir() else root
    tags = _read_tags(find_part(config.root, "the folder of the tags", "mirflickr/meta/tags", "meta/tags"))
    places = [f"{inside}{folder}" for inside in ("", "mirflickr/") for folder in _ANNOTATIONS]
    annotations = find_part(config.root, "the folder of the annotations", *places)
    numbers = sorted(tags)
    words = _frequent(tags.values(), config)
    row_of = {number: row for row, number in enumerate(numbers)}
    texts = memberships([tags[number] for number in numbers], words)
    labels = np.zeros((len(numbers), len(LABELS)), dtype=np.uint8)
    foreign: set[int] = set()
    for column, label in enumerate(LABELS):
        marked = _read_numbers(annotations / f"{label}.txt")
        labels[[row_of[number] for number in marked if number in row_of], column] = 1
        foreign.update(number for number in marked if number not in row_of)
    tagged, labelled = texts.any(1), labels.any(1)
    keep = np.flatnonzero(tagged & labelled)
    usual = most == FIELD_TAG_IMAGES
    kept = [numbers[row] for row in keep]
    captions = [" ".join(tags[number]) for number in kept]
    vectors = TextVectors(texts[keep], words, 0.0, 1.0)
    if config.encoder is not None and captions:
        vectors = text_vectors(captions, words=0, vocabulary=None, encoder=config.encoder, cache=cache)
    listing = Listing(
        names=[f"im{number}" for number in kept],
        files=[f"im{number}.jpg" for number in kept],
        texts=vectors,
        labels=labels[keep],
        label_names=LABELS,
        captions=captions,
        counts=[
            Count("images with a file of tags", len(numbers), 25_000),
            Count("annotated images without a file of tags", len(foreign), 0),
            Count(f"tags that at least {most} images have", len(words), 1_386 if usual else None),
            Count("images without a kept tag", int((~tagged).sum())),
            Count("images with a kept tag but without a label", int((tagged & ~labelled).sum())),
            Count("pairs with a kept tag and a label", len(keep), 20_015 if usual else None),
        ],
    )
    return listed_pairs(listing, [f"{photos}/{file}" for file in listing.files], config, cache)


def _frequent(tags: Iterable[Sequence[str]], config: MirFlickrConfig) -> tuple[str, ...]:
    frequency = Counter(tag for found in tags for tag in found)
    ranked = sorted(frequency.items(), key=lambda item: (-item[1], item[0]))
    words = tuple(tag for tag, count in ranked if count >= config.tag_images)
    if not words:
        raise DataError(
            f"data.tag_images={config.tag_images}: no tag in data.root={config.root} occurs with more than "
            f"{ranked[0][1] if ranked else 0} images"
        )
    return words


_ANNOTATIONS = ("annotations", "mirflickr25k_annotations_v080")


def _read_tags(folder: Path) -> dict[int, list[str]]:
    """Tags of each image number, in the order of its file, repeated ones once."""
    try:
        files = [path for path in folder.iterdir() if path.name.startswith("tags") and path.suffix == ".txt"]
    except OSError as error:
        raise ConfigError(f"data.root: the tags cannot be read: {error}") from error
    numbered = {int(path.stem[4:]): path for path in files if path.stem[4:].isascii() and path.stem[4:].isdigit()}
    if not numbered:
        raise ConfigError(f"data.root: there is no file tags1.txt, tags2.txt, ... in {folder}")
    return {number: list(dict.fromkeys(read_words(path))) for number, path in numbered.items()}


def _read_numbers(path: Path) -> set[int]:
    """Image numbers of one annotation file."""
    numbers = set()
    for position, line in enumerate(read_lines(path), 1):
        if not line.isdigit() or len(line) > 9:
            raise DataError(f"{path}, line {position}: {line[:40]!r} is no image number")
        numbers.add(int(line))
    return numbers
