import csv
import logging
import random
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from aach_lightning.data.embeddings import sentence_embeddings
from aach_lightning.data.folder import folder_pairs
from aach_lightning.data.images import ReadFile
from aach_lightning.data.pairs import Pairs
from aach_lightning.errors import ConfigError, DataError

SIZE = 24
FLICKR = Path(__file__).parents[2].parent / "shared" / "data" / "flickr8k24"
BLOCKS = np.array([[[200, 30, 40], [20, 190, 60]], [[30, 50, 210], [220, 210, 40]]], np.uint8)
"""Upper left, upper right, lower left, lower right."""


def blocks(width: int = 2 * SIZE, height: int = 2 * SIZE) -> NDArray[np.uint8]:
    return BLOCKS.repeat(height // 2, axis=0).repeat(width // 2, axis=1)


def corners(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Middles of the four quarters of a 3 x H x W image, 2 x 2 x 3."""
    quarter, third = image.shape[-1] // 4, 3 * image.shape[-1] // 4
    return np.moveaxis(image[:, [quarter, third]][:, :, [quarter, third]], 0, -1).astype(np.int64)


def write_table(folder: Path, rows: list[tuple[str, str, str, str]]) -> None:
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "image", "text", "labels"))
        writer.writerows(rows)


def read_folder(root: Path, **changes: Any) -> Pairs:
    texts = {"words": 10, "vocabulary": None, "encoder": None}
    values = {"name": "own", "image_size": SIZE, **texts, "on_damaged": "error", **changes}
    return folder_pairs(root=str(root), cache=str(root.parent / "cache"), **values)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four one-coloured pictures of different kinds."""
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    rows = []
    for number, (suffix, label) in enumerate([("jpg", "sky|sea"), ("png", "dog"), ("bmp", ""), ("gif", " sea | dog ")]):
        Image.new("RGB", (30, 20), (60 * number, 100, 200)).save(folder / "images" / f"{number}.{suffix}")
        rows.append((f"p{number}", f"images/{number}.{suffix}", f"word{number} common", label))
    write_table(folder, rows)
    return folder


def table(root: Path) -> list[list[str]]:
    with (root / "pairs.csv").open(newline="") as file:
        return list(csv.reader(file))[1:]


# ---- what is read ----


def test_order_texts_labels_and_images(root: Path) -> None:
    pairs = read_folder(root)
    assert pairs.names == ("p0", "p1", "p2", "p3")
    assert pairs.captions == tuple(f"word{number} common" for number in range(4))
    assert pairs.words == ("common", "word0", "word1", "word2", "word3")
    assert pairs.texts.tolist() == [[1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [1, 0, 0, 1, 0], [1, 0, 0, 0, 1]]
    assert pairs.label_names == ("dog", "sea", "sky")
    assert pairs.labels.tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 0]]
    assert (pairs.images.shape, pairs.images.dtype) == ((4, 3, SIZE, SIZE), np.uint8)
    for number in range(4):
        colour = pairs.images[number].reshape(3, -1).astype(int)
        assert np.abs(colour - np.array([60 * number, 100, 200])[:, None]).max() <= 3
    assert (pairs.skipped, pairs.image_rows, pairs.text_low, pairs.text_high) == (0, None, 0.0, 1.0)


@pytest.mark.parametrize(
    ("name", "mode", "tolerance"),
    [("x.png", "RGB", 0), ("x.bmp", "RGB", 0), ("x.jpg", "RGB", 12), ("x.webp", "RGB", 12), ("x.jpg", "CMYK", 30)],
)
def test_decoded_colours(tmp_path: Path, name: str, mode: str, tolerance: int) -> None:
    Image.fromarray(blocks()).convert(mode).save(tmp_path / name)
    found = ReadFile((tmp_path / name,), SIZE)(0)
    assert (found.shape, found.dtype) == ((3, SIZE, SIZE), np.uint8)
    assert np.abs(corners(found) - BLOCKS).max() <= tolerance


@pytest.mark.parametrize(("name", "tolerance"), [("x.png", 0), ("x.jpg", 4)])
def test_grey_becomes_three_equal_channels(tmp_path: Path, name: str, tolerance: int) -> None:
    grey = np.array([[10, 90], [160, 250]], np.uint8).repeat(SIZE, axis=0).repeat(SIZE, axis=1)
    Image.fromarray(grey).save(tmp_path / name)
    found = ReadFile((tmp_path / name,), SIZE)(0)
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()
    assert np.abs(corners(found)[..., 0] - [[10, 90], [160, 250]]).max() <= tolerance


def test_palette_and_transparency(tmp_path: Path) -> None:
    Image.fromarray(blocks()).quantize(4).save(tmp_path / "palette.png")
    opaque = np.dstack([blocks(), np.full((2 * SIZE, 2 * SIZE), 255, np.uint8)])
    Image.fromarray(opaque).save(tmp_path / "alpha.png")
    for name, tolerance in (("palette.png", 4), ("alpha.png", 0)):
        found = ReadFile((tmp_path / name,), SIZE)(0)
        assert np.abs(corners(found) - BLOCKS).max() <= tolerance


# EXIF's orientation: which stored corner is shown upper left, upper right, lower left, lower right
UPRIGHT = {
    1: [(0, 0), (0, 1), (1, 0), (1, 1)],
    2: [(0, 1), (0, 0), (1, 1), (1, 0)],
    3: [(1, 1), (1, 0), (0, 1), (0, 0)],
    4: [(1, 0), (1, 1), (0, 0), (0, 1)],
    5: [(0, 0), (1, 0), (0, 1), (1, 1)],
    6: [(1, 0), (0, 0), (1, 1), (0, 1)],
    7: [(1, 1), (0, 1), (1, 0), (0, 0)],
    8: [(0, 1), (1, 1), (0, 0), (1, 0)],
}


@pytest.mark.parametrize("orientation", sorted(UPRIGHT))
def test_rotated_photos_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(blocks(80, 40)).save(tmp_path / "x.jpg", exif=exif, quality=95)
    found = corners(ReadFile((tmp_path / "x.jpg",), SIZE)(0))
    expected = np.array([BLOCKS[place] for place in UPRIGHT[orientation]], np.int64).reshape(2, 2, 3)
    assert np.abs(found - expected).max() <= 12


def test_pixels_against_plain_resizing(tmp_path: Path) -> None:
    """Pixels of a PNG: Pillow's bicubic resize of the whole picture to a square, width and height squeezed alone."""
    noise = np.random.default_rng(0).integers(0, 256, (31, 45, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.png")
    expected = np.asarray(Image.fromarray(noise).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(ReadFile((tmp_path / "x.png",), SIZE)(0), expected.transpose(2, 0, 1))


def test_own_vocabulary(root: Path) -> None:
    (root / "words.txt").write_text("word3\nabsent\ncommon\n")
    pairs = read_folder(root, vocabulary=str(root / "words.txt"))
    assert pairs.words == ("word3", "absent", "common")
    assert pairs.texts.tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 1], [1, 0, 1]]


def test_vocabulary_keeps_the_most_frequent_words(root: Path) -> None:
    assert read_folder(root, words=2).words == ("common", "word0")


def test_texts_as_embeddings(root: Path, tiny_encoder: Path) -> None:
    rows = table(root)
    write_table(
        root, [(*row[:2], text, row[3]) for row, text in zip(rows, ["a dog", "", "a cat", "a dog"], strict=True)]
    )
    pairs = read_folder(root, encoder=str(tiny_encoder))
    expected = sentence_embeddings(["a dog", "a cat"], str(tiny_encoder), root.parent / "expected")
    zero = np.zeros(24)
    np.testing.assert_allclose(pairs.texts, [expected[0], zero, expected[1], expected[0]], atol=1e-6)
    assert (pairs.text_low, pairs.text_high) == (-1.0, 1.0)
    assert pairs.words == tuple(f"#{entry}" for entry in range(24))
    assert pairs.captions == ("a dog", "", "a cat", "a dog")
    assert pairs.batch([2]).texts.numpy().tolist() == [pairs.texts[2].tolist()]


def test_the_fingerprint_is_of_the_embeddings_too(root: Path, write_encoder: Callable[..., Path]) -> None:
    folders = [write_encoder(root.parent / f"encoder{seed}", seed) for seed in (0, 1)]
    prints = {read_folder(root, encoder=str(folder)).fingerprint for folder in (*folders, folders[0])}
    assert len(prints) == 2
    assert read_folder(root).fingerprint not in prints


def test_byte_order_mark_quoted_line_breaks_and_further_columns(root: Path) -> None:
    content = 'note,labels,text,image,id\r\nx,dog,"a ""big"" dog,\r\nin two lines",images/1.png,ü1\r\n'
    (root / "pairs.csv").write_bytes(b"\xef\xbb\xbf" + content.encode())
    pairs = read_folder(root)
    assert pairs.names == ("ü1",)
    assert pairs.captions == ('a "big" dog,\r\nin two lines',)
    assert pairs.label_names == ("dog",)
    assert set(pairs.words) == {"a", "big", "dog", "in", "two", "lines"}


def test_fingerprint_follows_the_content(root: Path) -> None:
    prints = [read_folder(root).fingerprint]
    assert read_folder(root).fingerprint == prints[0]
    prints.append(read_folder(root, words=2).fingerprint)
    prints.append(read_folder(root, image_size=16).fingerprint)
    rows = table(root)
    write_table(root, [tuple(row) for row in rows[::-1]])  # type: ignore[misc]
    prints.append(read_folder(root).fingerprint)
    write_table(root, [(*row[:3], "dog") for row in rows])  # type: ignore[misc]
    prints.append(read_folder(root).fingerprint)
    Image.new("RGB", (30, 20), (1, 2, 3)).save(root / "images" / "1.png")
    changed = read_folder(root)
    prints.append(changed.fingerprint)
    assert changed.images[1, :, 0, 0].tolist() == [1, 2, 3]  # not the old picture from the cache
    assert len(set(prints)) == 6


def test_moved_folder_is_the_same_data(root: Path) -> None:
    before = read_folder(root).fingerprint
    moved = root.rename(root.with_name("elsewhere"))
    assert read_folder(moved).fingerprint == before


# ---- damaged and missing images ----


def damage_images(root: Path) -> None:
    (root / "images" / "0.jpg").unlink()
    whole = (root / "images" / "2.bmp").read_bytes()
    (root / "images" / "2.bmp").write_bytes(whole[: len(whole) // 2])


def test_damaged_images_stop_the_run_and_are_all_named(root: Path) -> None:
    damage_images(root)
    with pytest.raises(DataError, match=r"2 of 4 images") as caught:
        read_folder(root)
    message = str(caught.value)
    assert "0.jpg" in message
    assert "2.bmp" in message
    assert "1.png" not in message
    assert "data.on_damaged=skip" in message


def test_skipping_keeps_images_texts_and_labels_together(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    damage_images(root)
    with caplog.at_level(logging.WARNING):
        pairs = read_folder(root, on_damaged="skip")
    assert "left out 2 of 4" in caplog.text
    assert (len(pairs), pairs.skipped, pairs.names) == (2, 2, ("p1", "p3"))
    assert pairs.captions == ("word1 common", "word3 common")
    assert pairs.words == ("common", "word1", "word3")
    batch = pairs.batch([1, 0])
    assert (batch.images[:, 0].mean((1, 2)) * 255).tolist() == pytest.approx([180, 60], abs=2)
    assert batch.texts.tolist() == [[1, 0, 1], [1, 1, 0]]
    assert {name for name, mark in zip(pairs.label_names, batch.labels[0], strict=True) if mark} == {"sea", "dog"}


def test_not_one_image(root: Path) -> None:
    shutil.rmtree(root / "images")
    with pytest.raises(DataError, match=r"4 of 4 images of data\.root=.* cannot be read"):
        read_folder(root, on_damaged="skip")


def test_repaired_image_is_read_again(root: Path) -> None:
    whole = (root / "images" / "1.png").read_bytes()
    (root / "images" / "1.png").write_bytes(whole[:40])
    assert read_folder(root, on_damaged="skip").skipped == 1
    (root / "images" / "1.png").write_bytes(whole)
    assert read_folder(root).skipped == 0


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", None])
def test_files_that_are_no_images(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.jpg"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.jpg"):
        ReadFile((path,), SIZE)(0)


@pytest.mark.filterwarnings("ignore")  # Pillow's own remarks on damaged files
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF"])
def test_changed_bytes_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path, rng, refused = tmp_path / "x", random.Random(1), 0
    Image.fromarray(blocks()).save(path, kind, **({"exif": exif} if kind in ("JPEG", "PNG") else {}))
    whole = path.read_bytes()
    for trial in range(80):
        damaged = bytearray(whole)
        for _ in range(1 + trial % 4):
            damaged[rng.randrange(min(len(damaged), 200))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            assert ReadFile((path,), SIZE)(0).shape == (3, SIZE, SIZE)
        except DataError:
            refused += 1
    assert refused > 5


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize(
    ("mode", "options"), [("RGB", {}), ("RGB", {"progressive": True}), ("CMYK", {}), ("L", {"quality": 95})]
)
def test_truncated_jpegs_are_refused(tmp_path: Path, mode: str, options: dict[str, Any], share: float) -> None:
    """As broken downloads are: the header is whole, and the missing rest would be grey."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(tmp_path / "x.jpg", **options)
    whole = (tmp_path / "x.jpg").read_bytes()
    assert ReadFile((tmp_path / "x.jpg",), SIZE)(0).shape == (3, SIZE, SIZE)
    (tmp_path / "x.jpg").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=r"x\.jpg: .*truncated"):
        ReadFile((tmp_path / "x.jpg",), SIZE)(0)


def test_any_error_of_a_decoder_counts_as_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged EXIF block can make Pillow raise struct.error, which is neither an OSError nor a ValueError."""
    path = tmp_path / "x.png"
    Image.fromarray(blocks()).save(path)

    def breaks(*_: object, **__: object) -> None:
        raise struct.error("required argument is not an integer")

    monkeypatch.setattr("PIL.ImageOps.exif_transpose", breaks)
    with pytest.raises(DataError, match=r"x\.png: required argument"):
        ReadFile((path,), SIZE)(0)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("width", "height"), [(12_000, 12_000), (60_000, 60_000), (100_001, 1_000)])
def test_decompression_bomb_is_refused_by_its_header(tmp_path: Path, width: int, height: int) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + rows + chunk(b"IEND", b""))
    with pytest.raises(DataError, match=r"x\.png.*(more than 100,000,000 allowed|decompression bomb)"):
        ReadFile((tmp_path / "x.png",), SIZE)(0)


# ---- the table ----


def test_no_folder_or_no_table(tmp_path: Path) -> None:
    for folder in (tmp_path / "absent", tmp_path):
        with pytest.raises(ConfigError, match=r"data\.root=.*pairs\.csv whose header is id,image,text,labels"):
            read_folder(folder)


@pytest.mark.parametrize(
    "image", ["../secret.png", "images/../../secret.png", "{absolute}", "images/link.png", "x\0.png"]
)
def test_images_outside_the_folder_are_refused(root: Path, image: str) -> None:
    secret = root.parent / "secret.png"
    Image.new("RGB", (20, 20)).save(secret)
    (root / "images" / "link.png").symlink_to(secret)
    write_table(root, [("a", "images/1.png", "x", "dog"), ("b", image.format(absolute=secret), "x", "dog")])
    with pytest.raises(DataError, match=r"pairs\.csv") as caught:
        read_folder(root, on_damaged="skip")  # no reason to leave the pair out quietly
    assert ("line 3" in str(caught.value) and "leaves the folder" in str(caught.value)) or "\0" in image


def test_links_inside_the_folder_are_fine(root: Path) -> None:
    (root / "images" / "link.png").symlink_to(root / "images" / "1.png")
    write_table(root, [("a", "images/link.png", "x", "dog"), ("b", "images/../images/1.png", "x", "dog")])
    assert read_folder(root).images[:, 0, 0, 0].tolist() == [60, 60]


def test_duplicate_ids(root: Path) -> None:
    write_table(
        root, [("a", "images/1.png", "x", "dog"), ("b", "images/1.png", "x", ""), ("a", "images/0.jpg", "y", "")]
    )
    with pytest.raises(DataError, match=r"line 4: id 'a' stands already in line 2"):
        read_folder(root)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "header is None"),
        ("id;image;text;labels\n", "it must name id, image, text, labels"),
        ("id,image,text\na,images/1.png,x\n", "it must name id, image, text, labels"),
        ("id,image,text,labels\n", "no pairs below the header"),
        ("id,image,text,labels\na,images/1.png,x\n", "line 2: more or fewer fields"),
        ("id,image,text,labels\na,images/1.png,x,dog,cat\n", "line 2: more or fewer fields"),
        ("id,image,text,labels\na,images/1.png,x,dog\nb\n", "line 3: more or fewer fields"),
        ('id,image,text,labels\na,images/1.png,"x,dog\n', "unexpected end of data"),
        ("id,image,text,labels\na,images/1.png,x,\n", "no pair has a label"),
        ("id,image,text,labels\na,images/1.png,x, | \n", "no pair has a label"),
        (f"id,image,text,labels\na,images/1.png,{'x' * 200_000},dog\n", "field larger than field limit"),
    ],
)
def test_wrong_tables(root: Path, content: str, said: str) -> None:
    (root / "pairs.csv").write_text(content)
    with pytest.raises(DataError, match=said) as caught:
        read_folder(root)
    assert str(root / "pairs.csv") in str(caught.value)


PIECES = st.sampled_from(
    [b"a", b"b", b"1.png", b"images/1.png", b"dog", b"|", b",", b'"', b"\n", b"\r\n", b"\0", b"\xff", b"..", b"/", b" "]
)


@given(
    rows=st.lists(PIECES, max_size=30).map(b"".join),
    header=st.sampled_from([b"id,image,text,labels\n", b"\xef\xbb\xbflabels,text,image,id\r\n", b""]),
)
@settings(max_examples=150, deadline=None)
def test_any_bytes_below_the_header_give_pairs_or_a_clear_error(
    rows: bytes, header: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any" / "data"
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for name in ("1.png", "images/1.png"):
        Image.new("RGB", (2, 2)).save(folder / name)
    (folder / "pairs.csv").write_bytes(header + rows)
    try:
        pairs = read_folder(folder, image_size=2, on_damaged="skip")
    except DataError as error:
        assert str(folder) in str(error)  # noqa: PT017  (either outcome is right)
        return
    assert len(pairs) == len(set(pairs.names)) > 0
    assert pairs.label_names
    assert pairs.images.shape[1:] == (3, 2, 2)


def test_table_in_another_encoding(root: Path) -> None:
    (root / "pairs.csv").write_bytes("id,image,text,labels\na,images/1.png,größe,dog\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"pairs\.csv.*utf-8"):
        read_folder(root)


# ---- real photos ----


@pytest.mark.skipif(not (FLICKR / "pairs.csv").is_file(), reason="the Flickr8k excerpt is not beside the repository")
def test_forty_real_photos(tmp_path: Path) -> None:
    with (FLICKR / "pairs.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row, _ in zip(csv.DictReader(file), range(40), strict=False)]
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    for row in rows:
        shutil.copyfile(FLICKR / row["image"], folder / row["image"])
    write_table(folder, [(row["id"], row["image"], row["text"], row["labels"]) for row in rows])
    pairs = read_folder(folder, image_size=64, words=50)
    assert (len(pairs), pairs.skipped, pairs.images.shape) == (40, 0, (40, 3, 64, 64))
    assert pairs.captions == tuple(row["text"] for row in rows)
    for row, mark, image in zip(rows, pairs.labels, pairs.images, strict=True):
        assert {pairs.label_names[column] for column in np.flatnonzero(mark)} == set(row["labels"].split("|"))
        with Image.open(FLICKR / row["image"]) as photo:  # an area average is another filter, but the same picture
            plain = np.asarray(photo.convert("RGB").resize((8, 8), Image.Resampling.BOX)).astype(float)
        found = image.reshape(3, 8, 8, 8, 8).mean((2, 4)).transpose(1, 2, 0)
        assert np.abs(found - plain).mean() < 3
