import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aach_lightning.config.data import MirFlickrConfig
from aach_lightning.config.schema import PathsConfig
from aach_lightning.data.embeddings import sentence_embeddings
from aach_lightning.data.load import load_pairs
from aach_lightning.data.pairs import Pairs
from aach_lightning.errors import ConfigError, DataError
from aach_lightning.readers.original.mirflickr25k import LABELS, mirflickr25k_pairs
from tests.tiny_clip import write_clip

Write = Callable[[Path, int], None]
LevelOf = Callable[[NDArray[np.uint8]], int]

# image number -> tags; "sea" is in 4 images, "dog" in 3, "été" and "sky" in 2, the rest in 1 (repeats count once)
TAGS = {
    1: ["sea", "dog", "sky"],
    2: ["sea", "rare", "rare"],
    3: ["dog", "été"],
    4: [],
    9: ["sea", "dog", "été"],
    10: ["alone"],
    25000: ["sea", "sky"],
}
MARKS = {"sea": [1, 2, 9, 4], "dog": [1, 9, 10], "sky": [25000], "plant_life": [1, 9]}


@pytest.fixture
def root(tmp_path: Path, write_photo: Write) -> Path:
    folder = tmp_path / "data"
    for position, (number, tags) in enumerate(TAGS.items()):
        write_photo(folder / "mirflickr" / f"im{number}.jpg", 20 * position + 20)
        path = folder / "mirflickr" / "meta" / "tags" / f"tags{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("".join(f"{tag}\r\n" for tag in tags).encode())
    (folder / "annotations").mkdir()
    for label in LABELS:
        content = "".join(f"{number}\r\n" for number in MARKS.get(label, []))
        (folder / "annotations" / f"{label}.txt").write_text(content, newline="")
    (folder / "annotations" / "sea_r1.txt").write_text("3\n")
    (folder / "annotations" / "README.txt").write_text("About these files.\n")
    return folder


def read(root: Path, **changes: Any) -> Pairs:
    values = {"name": "mir", "image_size": 32, "tag_images": 2, "on_damaged": "error", **changes}
    return mirflickr25k_pairs(root=str(root), cache=str(root.parent / "cache"), **values)


def test_pairs_with_a_kept_tag_and_a_label(root: Path, level_of: LevelOf) -> None:
    pairs = read(root)
    assert pairs.names == ("im1", "im2", "im9", "im25000")  # 3 has _r1 alone, 4 no tag, 10 no kept one
    assert pairs.words == ("sea", "dog", "sky", "été")
    assert pairs.texts.tolist() == [[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 1], [1, 0, 1, 0]]
    assert pairs.captions == ("sea dog sky", "sea rare", "sea dog été", "sea sky")
    assert pairs.label_names == LABELS
    found = [{LABELS[column] for column in np.flatnonzero(row)} for row in pairs.labels]
    assert found == [{"sea", "dog", "plant_life"}, {"sea"}, {"sea", "dog", "plant_life"}, {"sky"}]
    images = pairs.batch([0, 1, 2, 3]).images.mul(255).round().byte().numpy()
    assert [level_of(image) for image in images] == [20, 40, 100, 140]
    assert (pairs.skipped, pairs.text_low, pairs.text_high) == (0, 0.0, 1.0)


def test_the_field_uses_24_labels() -> None:
    assert len(set(LABELS)) == 24
    assert list(LABELS) == sorted(LABELS)


@pytest.mark.parametrize("least", [1, 3])
def test_tags_are_kept_by_the_images_that_have_them(root: Path, least: int) -> None:
    assert read(root, tag_images=least).words == (
        ("sea", "dog") if least == 3 else ("sea", "dog", "sky", "été", "alone", "rare")
    )


def test_counts_are_logged_beside_the_numbers_of_the_field(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(30_000, 30_020):
        (root / "mirflickr" / "meta" / "tags" / f"tags{number}.txt").write_text("sea\n")
    with caplog.at_level(logging.INFO):
        pairs = read(root, tag_images=20)
    assert pairs.words == ("sea",)
    for said in (
        "images with a file of tags: 27 instead of 25,000 (-24,973)",
        "tags that at least 20 images have: 1 instead of 1,386",
        "images without a kept tag: 3",
        "pairs with a kept tag and a label: 4 instead of 20,015 (-20,011)",
    ):
        assert f"mir: {said}" in caplog.text
    assert "4 instead of 20,015" in pairs.note


def test_other_places(root: Path) -> None:
    """The annotations under the name of their archive; the root inside the folder of the photos."""
    first = read(root)
    (root / "annotations").rename(root / "mirflickr25k_annotations_v080")
    assert read(root).fingerprint == first.fingerprint
    (root / "mirflickr25k_annotations_v080").rename(root / "mirflickr" / "annotations")
    assert read(root).fingerprint == first.fingerprint
    assert read(root / "mirflickr").fingerprint == first.fingerprint
    (root / "mirflickr" / "annotations").rename(root / "annotations")
    (root / "mirflickr" / "meta").rename(root / "meta")
    assert read(root).fingerprint == first.fingerprint


def test_tags_as_embeddings(root: Path) -> None:
    """The same pairs; each text is what the encoder makes of all tags of its image, also those that are not kept."""
    pytest.importorskip("transformers", reason="needs the extra `clip`")
    folder = write_clip(root.parent / "clip")
    pairs, bags = read(root, encoder=str(folder)), read(root)
    assert (pairs.names, pairs.captions, pairs.labels.tolist()) == (bags.names, bags.captions, bags.labels.tolist())
    expected = sentence_embeddings(bags.captions, str(folder), root.parent / "other")
    np.testing.assert_allclose(pairs.batch([0, 1, 2, 3]).texts.numpy(), expected, atol=1e-6)
    assert (pairs.text_low, pairs.text_high, pairs.words[:2]) == (-1.0, 1.0, ("#0", "#1"))
    assert pairs.fingerprint != bags.fingerprint
    data = MirFlickrConfig(name="mir", image_size=32, root=str(root), tag_images=2, encoder=str(folder))
    assert load_pairs(data, PathsConfig(cache=str(root.parent / "cache"))).fingerprint == pairs.fingerprint


def test_from_the_configuration(root: Path) -> None:
    data = MirFlickrConfig(name="mir", image_size=32, root=str(root), tag_images=2)
    pairs = load_pairs(data, PathsConfig(cache=str(root.parent / "cache")))
    assert (pairs.names, pairs.fingerprint) == (("im1", "im2", "im9", "im25000"), read(root).fingerprint)


def test_damaged_and_missing_photos(root: Path, level_of: LevelOf, caplog: pytest.LogCaptureFixture) -> None:
    (root / "mirflickr" / "im2.jpg").unlink()
    whole = (root / "mirflickr" / "im9.jpg").read_bytes()
    (root / "mirflickr" / "im9.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"(?s)2 of 4 images.*im2\.jpg.*im9\.jpg.*data\.on_damaged=skip"):
        read(root)
    pairs = read(root, on_damaged="skip")
    assert (pairs.names, pairs.skipped) == (("im1", "im25000"), 2)
    assert pairs.texts.tolist() == [[1, 1, 1, 0], [1, 0, 1, 0]]
    assert pairs.labels.sum(1).tolist() == [3, 1]
    images = pairs.batch([0, 1]).images.mul(255).round().byte().numpy()
    assert [level_of(image) for image in images] == [20, 140]
    (root / "mirflickr" / "im9.jpg").write_bytes(whole)
    assert read(root, on_damaged="skip").names == ("im1", "im9", "im25000")
    assert "left out 1 of 4" in caplog.text


@pytest.mark.parametrize("line", ["im3", "-1", "1 2", "1.0", "9" * 5000, "é"])
def test_malformed_annotations(root: Path, line: str) -> None:
    (root / "annotations" / "bird.txt").write_bytes(f"1\n{line}\n".encode())
    with pytest.raises(DataError, match=r"bird\.txt, line 2: .* is no image number"):
        read(root)


def test_annotated_images_that_are_not_there_are_counted(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "annotations" / "bird.txt").write_text("1\n77\n")
    (root / "annotations" / "car.txt").write_text("77\n78\n")
    assert read(root).labels[:, LABELS.index("bird")].tolist() == [1, 0, 0, 0]
    assert "annotated images without a file of tags: 2 instead of 0" in caplog.text


def test_missing_parts(root: Path) -> None:
    with pytest.raises(DataError, match=r"data\.tag_images=5: no tag .* more than 4 images"):
        read(root, tag_images=5)
    (root / "annotations" / "lake.txt").unlink()
    with pytest.raises(DataError, match=r"lake\.txt"):
        read(root)
    (root / "annotations").rename(root / "labels")
    with pytest.raises(ConfigError, match=r"data\.root=.*annotations is missing.*mirflickr25k_annotations_v080"):
        read(root)
    for path in (root / "mirflickr" / "meta" / "tags").iterdir():
        path.unlink()
    with pytest.raises(ConfigError, match=r"tags1\.txt"):
        read(root)
    with pytest.raises(ConfigError, match=r"folder of the tags is missing.*mirflickr/meta/tags"):
        read(root / "labels")


def test_tags_that_are_not_utf8(root: Path) -> None:
    (root / "mirflickr" / "meta" / "tags" / "tags2.txt").write_bytes(b"sea\ngr\xfcn\n")
    assert read(root).captions[1] == "sea gr\ufffdn"


def test_no_pair_with_both(root: Path) -> None:
    for label in LABELS:
        (root / "annotations" / f"{label}.txt").write_text("")
    with pytest.raises(DataError, match="no pair has both a text and a label"):
        read(root)


def test_fingerprint_follows_the_content(root: Path, write_photo: Write) -> None:
    prints = [read(root).fingerprint]
    prints.append(read(root, image_size=16).fingerprint)
    (root / "annotations" / "bird.txt").write_text("1\n")
    prints.append(read(root).fingerprint)
    (root / "mirflickr" / "meta" / "tags" / "tags2.txt").write_text("dog\n")
    prints.append(read(root).fingerprint)
    write_photo(root / "mirflickr" / "im1.jpg", 240)
    prints.append(read(root).fingerprint)
    assert len(set(prints)) == len(prints)


def test_changed_bytes_give_pairs_or_a_clear_error(root: Path) -> None:
    generator, refused = random.Random(0), 0
    lists = sorted(path for path in root.rglob("*.txt") if path.stat().st_size)
    for _ in range(120):
        path = generator.choice(lists)
        whole = path.read_bytes()
        damaged = bytearray(whole)
        for _ in range(generator.choice([1, 2, 5])):
            damaged[generator.randrange(len(damaged))] = generator.choice([0, 9, 10, 13, 32, 46, 47, 48, 49, 92, 255])
        path.write_bytes(damaged)
        try:
            pairs = read(root, on_damaged="skip")
            assert len(pairs) == len(pairs.texts) == len(pairs.labels) > 0
            assert pairs.texts.any(1).all()
            assert pairs.labels.any(1).all()
        except (DataError, ConfigError) as error:
            assert str(root) in str(error)  # noqa: PT017  (either outcome is right)
            refused += 1
        path.write_bytes(whole)
    assert 10 < refused < 110
