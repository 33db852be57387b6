import base64
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aach_lightning.errors import DataError
from aach_lightning.evaluation.exhibits import load_exhibits, save_exhibits
from aach_lightning.evaluation.gallery import Exhibit, Found


def exhibit() -> Exhibit:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (3, 8, 10)).astype(np.float32) / np.float32(255) for _ in range(2)]
    return Exhibit("one", *images, (Found("a cat", True),), (Found("<b>", False), Found("", True)), 3)


def huge_png(side: int) -> str:
    """A header that promises more pixels than anybody wants to unpack."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


def test_a_gallery_comes_back_without_loss(tmp_path: Path) -> None:
    first = exhibit()
    save_exhibits([first], tmp_path / "gallery.json")
    (again,) = load_exhibits(tmp_path / "gallery.json")
    assert np.array_equal(again.clean, first.clean)
    assert np.array_equal(again.adversarial, first.adversarial)
    assert (again.name, again.before, again.after, again.moved) == (first.name, first.before, first.after, first.moved)


def changed(**values: object) -> Callable[[str], str]:
    def change(text: str) -> str:
        content = json.loads(text)
        content["exhibits"][0] |= values
        return json.dumps(content)

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:50],
        lambda text: text.replace("gallery/1", "gallery/9"),
        changed(clean="no base64"),
        changed(clean=base64.b64encode(b"no image").decode()),
        changed(clean=base64.b64encode(b"GIF89a" + bytes(20)).decode()),
        changed(clean=huge_png(2000)),
        changed(clean=huge_png(12_000)),
        changed(clean=huge_png(60_000)),
        changed(clean=huge_png(64)),
        changed(before=[{"text": "a"}]),
        changed(moved="many"),
        changed(clean=None),
    ],
)
def test_damaged_galleries_are_refused(damage: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "gallery.json"
    save_exhibits([exhibit()], path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError, match=r"gallery\.json"):
        load_exhibits(path)
