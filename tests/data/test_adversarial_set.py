"""A folder of adversarial queries is read as it was written, and nothing else is."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from aach_lightning.data.adversarial_set import AdversarialImages, AdversarialSet
from aach_lightning.errors import DataError


def some(images: bool = True, texts: bool = True) -> AdversarialSet:
    draw = np.random.default_rng(0)
    return AdversarialSet(
        rows=np.array([5, 2, 1_000_000]),
        names=("five", "../two", "Ü.jpg"),
        labels=np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0]], np.uint8),
        label_names=("a", "b", "c"),
        images=draw.integers(0, 256, (3, 3, 6, 4), dtype=np.uint8) if images else None,
        texts=torch.from_numpy(draw.normal(size=(3, 7)).astype(np.float32)) if texts else None,
        about={"attack": "aach", "seed": 3},
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "adversarial"
    some().save(folder)
    return folder


@pytest.mark.parametrize(("images", "texts"), [(True, True), (True, False), (False, True)])
def test_what_is_read_is_what_was_written(images: bool, texts: bool, tmp_path: Path) -> None:
    given = some(images, texts)
    given.save(tmp_path)
    read = AdversarialSet.load(tmp_path)
    for name in ("names", "label_names", "about"):
        assert getattr(read, name) == getattr(given, name)
    np.testing.assert_array_equal(read.rows, given.rows)
    np.testing.assert_array_equal(read.labels, given.labels)
    assert (read.images is None, read.texts is None) == (not images, not texts)
    if images:
        np.testing.assert_array_equal(read.images, given.images)
    if texts:
        assert torch.equal(read.texts, given.texts)


def test_other_programs_can_read_it(written: Path) -> None:
    given = some()
    manifest = json.loads((written / "manifest.json").read_text(encoding="utf-8"))
    for place, item in enumerate(manifest["items"]):
        with Image.open(written / item["image"]) as image:
            np.testing.assert_array_equal(np.asarray(image), given.images[place].transpose(1, 2, 0))
        assert [bool(label in item["labels"]) for label in range(3)] == given.labels[place].tolist()
    assert torch.equal(load_file(written / "texts.safetensors")["texts"], given.texts)


def test_the_data_set_gives_images_and_labels_through_their_transforms(written: Path) -> None:
    given = some()
    plain = AdversarialImages(written)
    assert len(plain) == 3
    image, labels = plain[2]
    assert image.size == (4, 6)
    assert labels.tolist() == [1, 0, 0]
    labels.zero_()  # what a user does to an item stays with it
    assert plain[2][1].tolist() == [1, 0, 0]
    ready = AdversarialImages(
        str(written), lambda image: torch.from_numpy(np.array(image)), lambda labels: labels.sum()
    )
    loader = torch.utils.data.DataLoader(ready, batch_size=3)
    pixels, counts = next(iter(loader))
    np.testing.assert_array_equal(pixels.numpy(), given.images.transpose(0, 2, 3, 1))
    assert counts.tolist() == [2, 0, 1]


def test_texts_alone_are_no_images(tmp_path: Path) -> None:
    some(images=False).save(tmp_path)
    with pytest.raises(DataError, match="holds texts alone"):
        AdversarialImages(tmp_path)


def change(content: dict[str, Any], *path: Any, to: Any) -> None:
    for step in path[:-1]:
        content = content[step]
    content[path[-1]] = to


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("schema",), "aach_lightning.adversarial/9"),
        (("items", 0, "image"), "images/../../secret.png"),
        (("items", 0, "image"), "/etc/hostname"),
        (("items", 1, "image"), 7),
        (("items", 1, "row"), "2"),
        (("items", 1, "labels"), [3]),
        (("items", 1, "labels"), [-1]),
        (("items", 1, "hash"), "0" * 32),
        (("items", 1), None),
        (("image_size",), [6, 5]),
        (("image_size",), [6, -4]),
        (("image_size",), 6),
        (("texts", "hash"), "0" * 32),
        (("texts", "width"), 8),
        (("label_names",), 3),
    ],
)
def test_a_manifest_that_is_wrong_is_refused(written: Path, tmp_path: Path, path: tuple[Any, ...], to: Any) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(written, folder)
    content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    change(content, *path, to=to)
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=r"adversarial|cannot read|png|safetensors"):
        AdversarialSet.load(folder)


@pytest.mark.parametrize("name", ["manifest.json", "images/000005.png", "texts.safetensors"])
@pytest.mark.parametrize("kept", [None, 0, 40])
def test_a_missing_or_cut_file_is_found(written: Path, tmp_path: Path, name: str, kept: int | None) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(written, folder)
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    if kept is not None:
        (folder / name).write_bytes(content[:kept])
    with pytest.raises(DataError, match=name.rsplit("/", maxsplit=1)[-1]):
        AdversarialSet.load(folder)


def test_a_kill_before_the_end_leaves_no_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr("aach_lightning.data.adversarial_set.save_tensors", full)
    with pytest.raises(OSError, match="no space"):
        some().save(tmp_path)
    with pytest.raises(DataError, match="not whole"):
        AdversarialSet.load(tmp_path)
