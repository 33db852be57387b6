"""Every data set that is listed, in the smallest form that its reader takes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from aach_lightning.config.choices import OnDamaged
from aach_lightning.config.schema import PathsConfig
from aach_lightning.data.load import list_datasets, load_pairs
from aach_lightning.data.splits import make_split
from aach_lightning.readers.kinds import KINDS, Kind, recognise
from aach_lightning.readers.original.mirflickr25k import LABELS

COUNT, SIZE = 25, 16  # 25: of fewer images, no tag of MIRFlickr is frequent enough
TEXTS = [f"a {('dog', 'cat')[row % 2]} on a mat" for row in range(COUNT)]
CLASSES = [("animal", "sky")[row % 2] for row in range(COUNT)]


def picture(path: Path, row: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 20), (10 * row, 200 - 8 * row, 90)).save(path)


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def write_pairs(root: Path) -> None:
    rows = [f"{row},{row}.png,{text},{label}" for row, (text, label) in enumerate(zip(TEXTS, CLASSES, strict=True))]
    write(root / "pairs.csv", ["id,image,text,labels", *rows])
    for row in range(COUNT):
        picture(root / f"{row}.png", row)


def write_pack(root: Path) -> None:
    root.mkdir(parents=True)
    ramp = np.linspace(0, 9, SIZE)[:, None] + np.arange(COUNT)[:, None, None, None] * np.ones((3, 1, SIZE))
    savemat(root / "pack.mat", {"IAll": ramp.astype(np.uint8), "YAll": np.eye(COUNT), "LAll": np.ones((COUNT, 2))})


def write_mirflickr(root: Path) -> None:
    for row in range(COUNT):
        picture(root / "mirflickr" / f"im{row + 1}.jpg", row)
        write(root / "mirflickr" / "meta" / "tags" / f"tags{row + 1}.txt", ["dog", "sky"][row < 4 :])
    for label in LABELS:
        write(root / "annotations" / f"{label}.txt", [str(row + 1) for row in range(COUNT)])


def write_nuswide(root: Path) -> None:
    concepts = [f"c{number}" for number in range(81)]
    write(root / "ImageList" / "Imagelist.txt", [f"actor\\{row}.jpg" for row in range(COUNT)])
    write(root / "ConceptsList" / "Concepts81.txt", concepts)
    for number, concept in enumerate(concepts):
        marks = [str(int(row % 81 == number or number < 2)) for row in range(COUNT)]
        write(root / "Groundtruth" / "AllLabels" / f"Labels_{concept}.txt", marks)
    write(root / "NUS_WID_Tags" / "AllTags1k.txt", ["1 0 1"] * COUNT)
    for row in range(COUNT):
        picture(root / "Flickr" / "actor" / f"{row}.jpg", row)


def write_coco(root: Path) -> None:
    for part, rows in (("train2014", range(COUNT - 5)), ("val2014", range(COUNT - 5, COUNT))):
        images = [{"id": row, "file_name": f"{row}.jpg"} for row in rows]
        labels = [{"image_id": row, "category_id": 1 + row % 2} for row in rows]
        captions = [{"id": row, "image_id": row, "caption": TEXTS[row]} for row in rows]
        names = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
        content = {"images": images, "annotations": labels, "categories": names}
        for name, value in (("instances", content), ("captions", {"annotations": captions})):
            write(root / "annotations" / f"{name}_{part}.json", [json.dumps(value)])
        for row in rows:
            picture(root / part / f"{row}.jpg", row)


TINY: dict[str, Callable[[Path], None]] = {
    "pairs": write_pairs,
    "container": write_pack,
    "mirflickr25k": write_mirflickr,
    "nuswide_tc10": write_nuswide,
    "nuswide_tc21": write_nuswide,
    "mscoco": write_coco,
}
WITHOUT_FILES = {"scenes", "custom"}  # drawn, and a function of the user's


def test_every_data_set_has_a_line_and_a_tiny_form() -> None:
    assert set(list_datasets()) == {*TINY, *WITHOUT_FILES}
    assert all(len(line) > 20 for line in list_datasets().values())
    assert {kind.option for kind in KINDS} == set(TINY) - {"nuswide_tc10"}


@pytest.mark.parametrize("option", TINY)
def test_every_data_set_is_recognised_and_read_the_same_again(tmp_path: Path, option: str) -> None:
    root, paths = tmp_path / "data", PathsConfig(cache=str(tmp_path / "cache"))
    TINY[option](root)
    kind = recognise(root)
    assert kind.option == option.replace("tc10", "tc21")
    config = Kind(option, kind.marks).configure(str(root), SIZE, OnDamaged.error)
    first, second = load_pairs(config, paths), load_pairs(config, paths)
    assert (first.name, len(first)) == (option, COUNT)
    assert first.fingerprint == second.fingerprint
    assert np.array_equal(first.images, second.images)
    assert first.images.shape == (COUNT, 3, SIZE, SIZE)
    batch = first.batch(range(COUNT))
    assert batch.images.std() > 0
    assert first.text_low <= batch.texts.min() < batch.texts.max() <= first.text_high
    assert bool(batch.labels.any(1).all())
    assert len(set(first.names)) == len(first.captions) == COUNT
    assert len(make_split(len(first), 5, 10, 0).database) == COUNT - 5
