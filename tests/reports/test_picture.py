import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from aach_lightning.evaluation.gallery import Exhibit, Found
from aach_lightning.reports.picture import save_picture

AWKWARD = (
    "costs $5 or $6 and \\$7 of $x^2$",
    "$\\frac{1$",  # an error where it is taken for mathematics
    "",
    "   ",
    "word " * 400,
    "x" * 4000,
    "a dog \N{DOG FACE} \N{FAMILY}\N{ZERO WIDTH JOINER}\N{VARIATION SELECTOR-16}",
    "一只狗在沙滩上奔跑" * 20,
    "כלב रेत пёс ไทย",
    "tab\tline\nfeed\x00\x07\ud800",
    "{braces} %d \\n <b>&amp;</b>",
)


def exhibit(size: int = 16, texts: tuple[str, ...] = ("a", "b"), name: str = "pair") -> Exhibit:
    clean = np.zeros((3, size, size), np.float32)
    clean[[0, 2]] = 1  # magenta, which nothing else in the picture has
    adversarial = clean.copy()
    adversarial[1] += 8 / 255
    found = tuple(Found(text, number % 2 == 0) for number, text in enumerate(texts))
    return Exhibit(name, clean, adversarial, found, found[::-1], 3)


def read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        image.load()
        return np.asarray(image.convert("RGB"))


def magenta_columns(pixels: NDArray[np.uint8]) -> int:
    """Number of separate magenta squares from top to bottom, in the first of the five columns."""
    part = pixels[:, : pixels.shape[1] // 5]
    magenta = ((part == [255, 0, 255]).all(axis=2)).sum(axis=1) > 20
    return int(magenta[0]) + int((magenta[1:] & ~magenta[:-1]).sum())


@pytest.mark.parametrize("rows", [1, 4])
def test_one_row_for_each_exhibit(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "new" / "attack.png"
    save_picture([exhibit() for _ in range(rows)], 8 / 255, "title", path)
    assert magenta_columns(read(path)) == rows
    assert [file.name for file in path.parent.iterdir()] == ["attack.png"]


def test_the_perturbation_fills_the_range(tmp_path: Path) -> None:
    save_picture([exhibit()], 8 / 255, "", tmp_path / "attack.png")
    pixels = read(tmp_path / "attack.png")
    # no change of red and blue is the middle, the full epsilon of green is its end
    middle = (np.abs(pixels.astype(int) - [127, 255, 127]) <= 1).all(axis=2)
    assert middle.sum() > 2000
    adversarial = (np.abs(pixels.astype(int) - [255, 8, 255]) <= 1).all(axis=2)
    assert adversarial.sum() > 2000


def test_awkward_texts(tmp_path: Path) -> None:
    path = tmp_path / "attack.png"
    rows = [exhibit(texts=(text, text)) for text in AWKWARD]
    save_picture(rows, 8 / 255, AWKWARD[1] + AWKWARD[-2], path)  # warnings are errors
    assert magenta_columns(read(path)) == len(AWKWARD)


def test_nothing_found(tmp_path: Path) -> None:
    save_picture([exhibit(texts=())], 8 / 255, "title", tmp_path / "attack.png")
    assert magenta_columns(read(tmp_path / "attack.png")) == 1


def picture_of(path: Path, *texts: str, title: str = "") -> NDArray[np.uint8]:
    save_picture([exhibit(texts=texts)], 8 / 255, title, path / "attack.png")
    return read(path / "attack.png")


def test_texts_are_drawn_as_they_are(tmp_path: Path) -> None:
    plain = picture_of(tmp_path, "a $x$ b")
    assert not np.array_equal(plain, picture_of(tmp_path, "a x b"))  # a dollar sign is drawn, not taken for mathematics
    assert np.array_equal(picture_of(tmp_path, "a\n $x$\t b"), plain)


def test_missing_characters_leave_a_box(tmp_path: Path) -> None:
    assert np.array_equal(picture_of(tmp_path, "a \N{DOG FACE} b"), picture_of(tmp_path, "a \N{WHITE SQUARE} b"))
    assert not np.array_equal(picture_of(tmp_path, "a \N{DOG FACE} b"), picture_of(tmp_path, "a  b"))


def test_long_texts_keep_their_beginning(tmp_path: Path) -> None:
    first, other = picture_of(tmp_path, "x" * 500), picture_of(tmp_path, "y" * 500)
    assert not np.array_equal(first, other)
    assert np.array_equal(first, picture_of(tmp_path, "x" * 600))
    width = first.shape[1]
    assert picture_of(tmp_path, "a", title="long " * 200).shape[1] == width


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        save_picture([exhibit(texts=AWKWARD[:5])], 8 / 255, "title", tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_an_old_picture_is_replaced_not_overwritten(tmp_path: Path) -> None:
    path, other_name = tmp_path / "attack.png", tmp_path / "linked.png"
    save_picture([exhibit()], 8 / 255, "first", path)
    before = path.read_bytes()
    os.link(path, other_name)
    save_picture([exhibit()], 8 / 255, "second", path)
    assert other_name.read_bytes() == before  # what is open or linked elsewhere stays whole
    assert path.read_bytes() != before


def test_a_failed_write_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "attack.png"
    save_picture([exhibit()], 8 / 255, "first", path)
    before = path.read_bytes()

    def fail(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(Exception, match="No space left"):
        save_picture([exhibit()], 8 / 255, "second", path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["attack.png"]
    assert Image.open(BytesIO(before)).size[0] > 0
