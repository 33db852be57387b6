import json
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aach_lightning.data.embeddings import sentence_embeddings
from aach_lightning.data.pairs import Pairs
from aach_lightning.errors import ConfigError, DataError
from aach_lightning.readers.original.mscoco import choose_caption, mscoco_pairs

Write = Callable[[Path, int], None]
LevelOf = Callable[[NDArray[np.uint8]], int]

CATEGORIES = [(1, "person"), (18, "dog"), (90, "toothbrush")]
# part -> image number -> (labels by category number, captions)
CONTENT: dict[str, dict[int, tuple[list[int], list[str]]]] = {
    "train2014": {
        30: ([18, 18], ["A dog\n runs."]),
        9: ([1, 90], ["A person brushes.", "Somebody brushes."]),
        25: ([], ["An empty street."]),
    },
    "val2014": {7: ([1, 18], ["a person with a dog"]), 64: ([90], []), 42: ([90], ["!!!"])},
}


def file_name(part: str, number: int) -> str:
    return f"COCO_{part}_{number:012d}.jpg"


def instances(part: str) -> dict[str, Any]:
    annotations = []
    for number, (labels, _) in CONTENT[part].items():
        for label in labels:
            crowd = len(annotations) % 2
            outline: Any = {"counts": [3, 4], "size": [7, 1]} if crowd else [[1.5, 2.0, 3.25, 4.0, 5.0, 6.5]]
            annotations.append(
                {
                    "segmentation": outline,
                    "area": 2.5,
                    "iscrowd": crowd,
                    "image_id": number,
                    "bbox": [1.0, 2.0, 3.0, 4.0],
                    "category_id": label,
                    "id": 1000 + len(annotations),
                }
            )
    return {
        "info": {"description": "COCO 2014 Dataset", "year": 2014},
        "images": [
            {"license": 5, "file_name": file_name(part, number), "height": 48, "width": 64, "id": number}
            for number in CONTENT[part]
        ],
        "licenses": [{"url": "http://example.org", "id": 5, "name": "Attribution"}],
        "annotations": annotations,
        "categories": [{"supercategory": "x", "id": number, "name": name} for number, name in CATEGORIES],
    }


def captions(part: str) -> dict[str, Any]:
    listed = [(number, text) for number, (_, texts) in CONTENT[part].items() for text in texts]
    annotations = [{"image_id": number, "id": 50 + row, "caption": text} for row, (number, text) in enumerate(listed)]
    return {"info": {}, "images": instances(part)["images"], "licenses": [], "annotations": annotations}


def write_json(root: Path, name: str, value: Any) -> None:
    (root / "annotations" / f"{name}.json").write_text(json.dumps(value))


@pytest.fixture
def root(tmp_path: Path, write_photo: Write) -> Path:
    folder = tmp_path / "data"
    (folder / "annotations").mkdir(parents=True)
    for part, photos in CONTENT.items():
        write_json(folder, f"instances_{part}", instances(part))
        write_json(folder, f"captions_{part}", captions(part))
        for number in photos:
            write_photo(folder / part / file_name(part, number), 2 * (number + 10))
    return folder


def read(root: Path, **changes: Any) -> Pairs:
    values = {"words": 20, "vocabulary": None, "encoder": None, "caption_seed": 0, "on_damaged": "error", **changes}
    return mscoco_pairs(name="coco", root=str(root), image_size=32, cache=str(root.parent / "cache"), **values)


def test_pairs_with_a_label_and_a_text(root: Path, level_of: LevelOf) -> None:
    pairs = read(root)
    assert pairs.names == tuple(
        file_name(part, number)[:-4] for part, number in (("train2014", 9), ("train2014", 30), ("val2014", 7))
    )
    assert pairs.label_names == ("dog", "person", "toothbrush")
    assert pairs.labels.tolist() == [[0, 1, 1], [1, 0, 0], [1, 1, 0]]
    assert pairs.captions[0] in CONTENT["train2014"][9][1]
    assert pairs.captions[1:] == ("A dog runs.", "a person with a dog")
    column = {word: position for position, word in enumerate(pairs.words)}
    assert {"a", "dog", "runs", "person", "with", "brushes"} <= set(column)
    expected = np.zeros(len(column), int)
    expected[[column[word] for word in ("a", "dog", "runs")]] = 1
    assert pairs.texts[1].tolist() == expected.tolist()
    images = pairs.batch([0, 1, 2]).images.mul(255).round().byte().numpy()
    assert [level_of(image) for image in images] == [40, 80, 40]


def test_vocabulary(root: Path) -> None:
    assert read(root, words=2).words == ("a", "dog")
    path = root / "words.txt"
    path.write_text("dog\nstreet\n")
    pairs = read(root, vocabulary=str(path))
    assert (pairs.words, pairs.texts.tolist()) == (("dog", "street"), [[1, 0], [1, 0]])
    assert len(pairs) == 2  # the caption of image 9 has no word of the vocabulary


def test_captions_as_embeddings(root: Path, tiny_encoder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A caption without a known word has an embedding too; a blank one has none."""
    content = captions("val2014")
    content["annotations"][0]["caption"] = " \n"
    write_json(root, "captions_val2014", content)
    with caplog.at_level(logging.INFO):
        pairs = read(root, encoder=str(tiny_encoder))
    assert "coco: those whose caption is blank: 1" in caplog.text
    assert [int(name[-3:]) for name in pairs.names] == [9, 30, 42]
    assert pairs.captions[1:] == ("A dog runs.", "!!!")
    expected = sentence_embeddings(pairs.captions, str(tiny_encoder), root.parent / "expected")
    np.testing.assert_allclose(pairs.texts, expected, atol=1e-6)
    assert (len(pairs.words), pairs.text_low, pairs.text_high) == (24, -1.0, 1.0)
    assert read(root, encoder=str(tiny_encoder)).fingerprint == pairs.fingerprint != read(root).fingerprint


def test_counts_are_logged_beside_the_numbers_of_the_field(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        pairs = read(root)
    for said in (
        "images of train2014 and val2014: 6 instead of 123,287 (-123,281)",
        "labels: 3 instead of 80",
        "images with a label: 5 instead of 122,218",
        "those without a caption: 1",
        "those whose caption has no word of the vocabulary: 1",
        "pairs with a label and a text: 3 instead of 122,218",
    ):
        assert f"coco: {said}" in caplog.text
    assert "3 instead of 122,218" in pairs.note


# ---- one caption an image ----


def test_the_caption_of_an_image_depends_on_seed_and_image_alone(root: Path) -> None:
    chosen = [read(root, caption_seed=seed).captions[0] for seed in range(8)]
    assert set(chosen) == set(CONTENT["train2014"][9][1])  # both occur
    content = captions("train2014")
    content["annotations"].reverse()
    write_json(root, "captions_train2014", content)
    assert [read(root, caption_seed=seed).captions[0] for seed in range(8)] == chosen


def test_every_caption_is_chosen_equally_often() -> None:
    five = {10 * number: str(number) for number in range(5)}
    counts = Counter(choose_caption(five, image, 3) for image in range(5000))
    assert all(abs(counts[str(number)] - 1000) < 150 for number in range(5))  # 5 standard deviations are 141
    same = sum(choose_caption(five, image, 3) == choose_caption(five, image, 4) for image in range(5000))
    assert abs(same - 1000) < 150


# ---- damage ----


def test_missing_photo(root: Path) -> None:
    (root / "train2014" / file_name("train2014", 30)).unlink()
    with pytest.raises(DataError, match=r"(?s)1 of 3 images.*000030\.jpg.*on_damaged=skip"):
        read(root)
    pairs = read(root, on_damaged="skip")
    assert (len(pairs), pairs.skipped, pairs.labels.tolist()) == (2, 1, [[0, 1, 1], [1, 1, 0]])


def test_missing_parts(root: Path) -> None:
    for name in ("annotations/captions_val2014.json", "annotations/instances_val2014.json"):
        (root / name).unlink()
        with pytest.raises(ConfigError, match=rf"of val2014 is missing there\. Looked for: {name}"):
            read(root)
    write_json(root, "instances_val2014", instances("val2014"))
    write_json(root, "captions_val2014", captions("val2014"))
    (root / "images").mkdir()
    (root / "val2014").rename(root / "images" / "val2014")
    assert len(read(root)) == 3
    (root / "images" / "val2014").rename(root / "other")
    with pytest.raises(ConfigError, match="the folder of val2014"):
        read(root)


@pytest.mark.parametrize("content", [b"", b"{", b'{"images": [', b"\xff\xfe\xff", b"[" * 200_000, b"1" * 5000])
def test_files_that_are_no_json(root: Path, content: bytes) -> None:
    (root / "annotations" / "instances_val2014.json").write_bytes(content)
    with pytest.raises(DataError, match=r"instances_val2014\.json: cannot read it as JSON"):
        read(root)


@pytest.mark.parametrize("content", [[], 3, "x", None, {}, {"images": {}}, {"annotations": [], "categories": []}])
@pytest.mark.parametrize("name", ["instances_val2014", "captions_val2014"])
def test_json_of_another_form(root: Path, name: str, content: Any) -> None:
    if name.startswith("captions") and isinstance(content, dict) and "annotations" in content:
        content = {"annotations": 1}
    write_json(root, name, content)
    with pytest.raises(DataError, match=rf"{name}\.json: there is no list"):
        read(root)


@pytest.mark.parametrize(
    ("key", "entry", "said"),
    [
        ("images", {"id": 7}, r"entry 3 of 'images' is .*it needs id \(int\), file_name \(str\)"),
        ("images", {"id": "7", "file_name": "x.jpg"}, "entry 3 of 'images'"),
        ("images", {"id": True, "file_name": "x.jpg"}, "entry 3 of 'images'"),
        ("images", [1], "entry 3 of 'images'"),
        ("images", {"id": 8, "file_name": "../x.jpg"}, "is no path inside"),
        ("images", {"id": 8, "file_name": "\ud800.jpg"}, "is no path inside"),
        ("categories", {"id": 8}, "entry 3 of 'categories'"),
        ("annotations", {"image_id": 7.0, "category_id": 1}, "entry 3 of 'annotations'"),
        ("annotations", {"image_id": 7}, "entry 3 of 'annotations'"),
        ("annotations", {"image_id": 9999, "category_id": 1}, "not listed"),
        ("annotations", {"image_id": 7, "category_id": 2}, "not listed"),
    ],
)
def test_damaged_entries_of_the_labels(root: Path, key: str, entry: Any, said: str) -> None:
    content = instances("val2014")
    content[key] = [*content[key][:3], entry]
    if key == "annotations":
        assert len(content[key]) == 4
    write_json(root, "instances_val2014", content)
    with pytest.raises(DataError, match=rf"instances_val2014\.json.*{said}"):
        read(root)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"image_id": 7, "id": 1, "caption": None}, r"entry 2 of 'annotations'.*caption \(str\)"),
        ({"image_id": 7, "caption": "x"}, "entry 2 of 'annotations'"),
        ({"image_id": 9999, "id": 1, "caption": "x"}, "image 9999 has a caption"),
    ],
)
def test_damaged_entries_of_the_captions(root: Path, entry: Any, said: str) -> None:
    content = captions("val2014")
    content["annotations"].append(entry)
    write_json(root, "captions_val2014", content)
    with pytest.raises(DataError, match=rf"captions_val2014\.json.*{said}"):
        read(root)


def test_an_image_in_both_parts(root: Path) -> None:
    content = instances("val2014")
    content["images"].append({"id": 9, "file_name": "x.jpg"})
    write_json(root, "instances_val2014", content)
    with pytest.raises(DataError, match="image 9 stands in train2014 and in val2014"):
        read(root)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_changed_bytes_give_pairs_or_a_clear_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("coco") / "data"
    (root / "annotations").mkdir(parents=True)
    for part in CONTENT:
        (root / part).mkdir()
        for kind, content in (("instances", instances(part)), ("captions", captions(part))):
            raw = bytearray(json.dumps(content).encode())
            for _ in range(data.draw(st.integers(0, 2))):
                raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
            (root / "annotations" / f"{kind}_{part}.json").write_bytes(raw)
    with pytest.raises((DataError, ConfigError)):  # at the latest because there are no photos
        read(root)
