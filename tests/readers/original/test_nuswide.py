import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aach_lightning.data.pairs import Pairs
from aach_lightning.errors import ConfigError, DataError
from aach_lightning.readers.original.nuswide import nuswide_pairs

Write = Callable[[Path, int], None]
LevelOf = Callable[[NDArray[np.uint8]], int]

IMAGES = [r"actor\0001_21.jpg", r"actor\0002_17.jpg", r"zoo\0001_9.jpg", r"zoo\0002_5.jpg", r"zoo\0003_4.jpg"]
CONCEPTS = ["airport", "animal", "sky", "water"]
LABELS = [[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0], [1, 0, 0, 0]]  # animal 3, sky 2, airport, water 1
TAGS = [[1, 0, 1], [0, 0, 0], [0, 1, 0], [0, 1, 1], [1, 1, 1]]


def write_tags(root: Path, rows: list[list[Any]]) -> None:
    content = "".join("".join(f"{value}\t" for value in row) + "\r\n" for row in rows)
    (root / "NUS_WID_Tags" / "AllTags1k.txt").write_text(content, newline="")


@pytest.fixture
def root(tmp_path: Path, write_photo: Write) -> Path:
    folder = tmp_path / "data"
    for name in ("ImageList", "Groundtruth/AllLabels", "NUS_WID_Tags", "ConceptsList"):
        (folder / name).mkdir(parents=True)
    (folder / "ImageList" / "Imagelist.txt").write_text("".join(f"{name}\r\n" for name in IMAGES), newline="")
    (folder / "ConceptsList" / "Concepts81.txt").write_text("\n".join(CONCEPTS) + "\n")
    for column, label in enumerate(CONCEPTS):
        content = "".join(f"{row[column]}\n" for row in LABELS)
        (folder / "Groundtruth" / "AllLabels" / f"Labels_{label}.txt").write_text(content)
    write_tags(folder, TAGS)
    (folder / "NUS_WID_Tags" / "TagList1k.txt").write_text("nature\nsea\ndog\n")
    for position, name in enumerate(IMAGES):
        write_photo(folder / "Flickr" / name.replace("\\", "/"), 20 * position + 20)
    return folder


def read(root: Path, **changes: Any) -> Pairs:
    values = {"name": "nus", "image_size": 32, "labels": 2, "on_damaged": "error", **changes}
    return nuswide_pairs(root=str(root), cache=str(root.parent / "cache"), **values)


def levels(pairs: Pairs, level_of: LevelOf) -> list[int]:
    return [level_of(image) for image in pairs.batch(range(len(pairs))).images.mul(255).round().byte().numpy()]


def test_pairs_with_a_frequent_label_and_a_tag(root: Path, level_of: LevelOf) -> None:
    pairs = read(root)
    assert pairs.names == ("actor/0001_21", "zoo/0002_5")  # the second has no tag, the others no frequent label
    assert (pairs.label_names, pairs.labels.tolist()) == (("animal", "sky"), [[1, 1], [1, 1]])
    assert (pairs.words, pairs.texts.tolist()) == (("nature", "sea", "dog"), [[1, 0, 1], [0, 1, 1]])
    assert pairs.captions == ("nature dog", "sea dog")
    assert levels(pairs, level_of) == [20, 80]


def test_of_equally_frequent_labels_the_first_is_kept(root: Path, level_of: LevelOf) -> None:
    pairs = read(root, labels=3)  # airport and water are equally frequent
    assert pairs.label_names == ("airport", "animal", "sky")
    assert pairs.labels.tolist() == [[0, 1, 1], [0, 1, 1], [1, 0, 0]]
    assert levels(pairs, level_of) == [20, 80, 100]
    assert read(root, labels=4).labels.tolist() == [LABELS[row] for row in (0, 2, 3, 4)]


def test_counts_are_logged_beside_the_numbers_of_the_field(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = [*CONCEPTS, *(f"c{number}" for number in range(17))]
    (root / "ConceptsList" / "Concepts81.txt").write_text("\n".join(names))
    for name in names[4:]:
        (root / "Groundtruth" / "AllLabels" / f"Labels_{name}.txt").write_text("0\n" * 5)
    with caplog.at_level(logging.INFO):
        pairs = read(root, labels=21)
        assert read(root, labels=10).label_names == (*CONCEPTS, "c0", "c1", "c2", "c3", "c4", "c5")
    for said in (
        "the 21 most frequent labels are airport, animal, sky, water, c0",
        "listed images: 5 instead of 269,648 (-269,643)",
        "images with one of the 21 labels: 5 instead of 195,834",
        "images with one of the 10 labels: 5 instead of 186,577",
        "those without a tag: 1",
        "pairs with a label and a tag: 4 instead of 190,421",
        "pairs with a label and a tag: 4 instead of 181,365",
    ):
        assert f"nus: {said}" in caplog.text
    assert "4 instead of 190,421" in pairs.note


def test_lists_with_a_byte_order_mark(root: Path, level_of: LevelOf) -> None:
    for path in (root / "ImageList" / "Imagelist.txt", root / "ConceptsList" / "Concepts81.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert levels(read(root), level_of) == [20, 80]


def test_line_ends_of_windows_and_tags_between_single_spaces(root: Path) -> None:
    first = read(root)
    for path in (root / "Groundtruth" / "AllLabels").iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    (root / "NUS_WID_Tags" / "AllTags1k.txt").write_text("".join(" ".join(map(str, row)) + "\n" for row in TAGS))
    assert read(root).fingerprint == first.fingerprint


@pytest.mark.parametrize("place", ["images", "."])
@pytest.mark.parametrize("flat", [True, False])
def test_photos_elsewhere(root: Path, level_of: LevelOf, place: str, flat: bool) -> None:
    for name in IMAGES[::3]:
        path = Path(name.replace("\\", "/"))
        target = root / place / (path.name if flat else path)
        target.parent.mkdir(parents=True, exist_ok=True)
        (root / "Flickr" / path).rename(target)
    assert levels(read(root), level_of) == [20, 80]


def test_no_photos_at_all(root: Path) -> None:
    (root / "Flickr").rename(root / "pictures")
    with pytest.raises(ConfigError, match=r"photos are missing.*actor/0001_21\.jpg"):
        read(root)


def test_missing_photo(root: Path, level_of: LevelOf) -> None:
    (root / "Flickr" / "actor" / "0001_21.jpg").unlink()
    with pytest.raises(DataError, match=r"(?s)1 of 2 images.*0001_21\.jpg.*on_damaged=skip"):
        read(root)
    pairs = read(root, on_damaged="skip")
    assert (pairs.names, pairs.skipped, levels(pairs, level_of)) == (("zoo/0002_5",), 1, [80])
    assert pairs.texts.tolist() == [[0, 1, 1]]


def test_tags_without_a_list_of_their_names(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "NUS_WID_Tags" / "TagList1k.txt").unlink()
    assert read(root).words == ("tag1", "tag2", "tag3")
    assert "tags are called by their number" in caplog.text


def test_wrong_number_of_tag_names(root: Path) -> None:
    (root / "NUS_WID_Tags" / "TagList1k.txt").write_text("nature\nsea\n")
    with pytest.raises(DataError, match=r"TagList1k\.txt: 2 names for 3 tags"):
        read(root)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (TAGS[:4], r"4 rows, but .*Imagelist\.txt lists 5 images"),
        ([*TAGS, [0, 0, 1]], r"6 rows, but .*Imagelist\.txt lists 5 images"),
        ([], r"0 rows, but .*Imagelist\.txt lists 5 images"),
        ([*TAGS[:2], [1, 0], *TAGS[3:]], "line 3: 2 entries instead of 3"),
        ([*TAGS[:4], [1, 0, 1, 1]], "line 5: 4 entries instead of 3"),
        ([*TAGS[:4], [1, 0, 2]], "line 5: b'2', where only 0 and 1"),
        ([*TAGS[:4], [1, 0, "-1"]], "line 5: b'-1', where only 0 and 1"),
        ([*TAGS[:4], [1, 0, "nan"]], "line 5: b'nan', where only 0 and 1"),
        ([*TAGS[:4], [1, 0, "/"]], "line 5: b'/', where only 0 and 1"),  # the byte before "0"
        ([TAGS[0], [], *TAGS[1:]], "line 2: 0 entries instead of 3"),
    ],
)
def test_malformed_tags(root: Path, rows: list[list[Any]], said: str) -> None:
    write_tags(root, rows)
    with pytest.raises(DataError, match=rf"AllTags1k\.txt.*{said}"):
        read(root)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("0\n1\n", "2 entries instead of 5"),
        ("0\n1\n0\n0\n0\n0\n", "6 entries instead of 5"),
        ("0\n1\n0\n0\n3\n", "b'3', where only 0 and 1"),
        ("", "0 entries instead of 5"),
    ],
)
def test_malformed_labels(root: Path, content: str, said: str) -> None:
    (root / "Groundtruth" / "AllLabels" / "Labels_sky.txt").write_text(content)
    with pytest.raises(DataError, match=rf"Labels_sky\.txt: {said}"):
        read(root)


@pytest.mark.parametrize("line", [r"..\..\secret.jpg", "/etc/passwd", "", r"C:\x.jpg", "a\0.jpg", "x" * 300, ".."])
def test_images_outside_the_folder_are_refused(root: Path, line: str) -> None:
    listed = [IMAGES[0], line, *IMAGES[2:]]
    (root / "ImageList" / "Imagelist.txt").write_text("\n".join(listed))
    with pytest.raises(DataError, match=r"Imagelist\.txt, line 2: .* is no path inside"):
        read(root, on_damaged="skip")


def test_missing_parts(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.labels=5: .* has 4 labels"):
        read(root, labels=5)
    (root / "Groundtruth" / "AllLabels" / "Labels_water.txt").unlink()
    with pytest.raises(DataError, match=r"Labels_water\.txt"):
        read(root)
    (root / "Groundtruth" / "AllLabels" / "Labels_water.txt").write_text("0 " * 5)
    for path in ("NUS_WID_Tags/AllTags1k.txt", "ConceptsList/Concepts81.txt", "ImageList/Imagelist.txt"):
        (root / path).unlink()
        with pytest.raises(ConfigError, match=rf"data\.root=.*is missing there\. Looked for: {path}"):
            read(root)


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
            assert str(root) in str(error) or "Concepts81" in str(error)  # noqa: PT017  (either outcome is right)
            refused += 1
        path.write_bytes(whole)
    assert 10 < refused < 110
