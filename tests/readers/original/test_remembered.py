import json
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aach_lightning.data.pairs import Pairs
from aach_lightning.data.texts import TextVectors
from aach_lightning.errors import DataError
from aach_lightning.readers.original import mscoco, nuswide
from aach_lightning.readers.original.listing import Count, Listing
from aach_lightning.readers.original.remembered import remembered

Write = Callable[[Path, int], None]


def listing(rows: int = 5) -> Listing:
    generator = np.random.default_rng(rows)
    words = tuple(f"word {column}" for column in range(11))
    return Listing(
        names=[f"pair {row}" for row in range(rows)],
        files=[f"folder/{row}.jpg" for row in range(rows)],
        texts=TextVectors((generator.random((rows, 11)) < 0.5).astype(np.uint8), words, 0.0, 1.0),
        labels=(generator.random((rows, 3)) < 0.5).astype(np.uint8),
        label_names=("a", "b", "ç"),
        captions=[f"a caption\n{row} \ud800" for row in range(rows)],
        counts=[Count("pairs", rows, 7), Count("others", 0)],
    )


def assert_equal(found: Listing, expected: Listing) -> None:
    for read, written in ((found.texts.vectors, expected.texts.vectors), (found.labels, expected.labels)):
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read, written)
    for key in ("names", "files", "captions", "counts"):
        assert list(getattr(found, key)) == list(getattr(expected, key))
    assert (found.texts.words, found.label_names) == (expected.texts.words, expected.label_names)


class Parse:
    """Counts its calls."""

    def __init__(self, rows: int = 5) -> None:
        self.rows, self.calls = rows, 0

    def __call__(self) -> Listing:
        self.calls += 1
        return listing(self.rows)


@pytest.fixture
def lists(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "one.txt", tmp_path / "two.txt"]
    for path in paths:
        path.write_text(path.name)
    return paths


def test_parsed_once(tmp_path: Path, lists: list[Path]) -> None:
    parse = Parse()
    for _ in range(3):
        assert_equal(remembered(tmp_path / "cache", lists, ["x", 1, None], parse), listing())
    assert parse.calls == 1
    assert [path.suffix for path in (tmp_path / "cache" / "listings").iterdir()] == [".npz"]


def test_other_options_and_other_files_are_other_listings(tmp_path: Path, lists: list[Path]) -> None:
    first, second, third = Parse(5), Parse(6), Parse(7)
    for _ in range(2):
        assert len(remembered(tmp_path / "cache", lists, ["x", 1], first).names) == 5
        assert len(remembered(tmp_path / "cache", lists, ["x", 2], second).names) == 6
        assert len(remembered(tmp_path / "cache", lists[:1], ["x", 1], third).names) == 7
    assert (first.calls, second.calls, third.calls) == (1, 1, 1)


@pytest.mark.parametrize("changed", [0, 1])
@pytest.mark.parametrize("what", ["content", "time"])
def test_a_changed_list_is_parsed_anew(tmp_path: Path, lists: list[Path], changed: int, what: str) -> None:
    remembered(tmp_path / "cache", lists, ["x"], Parse(5))
    status = lists[changed].stat()
    if what == "content":
        lists[changed].write_text("longer than before")
        os.utime(lists[changed], ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        os.utime(lists[changed], ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    parse = Parse(8)
    for _ in range(2):
        assert_equal(remembered(tmp_path / "cache", lists, ["x"], parse), listing(8))
    assert parse.calls == 1
    assert len(list((tmp_path / "cache" / "listings").iterdir())) == 1  # replaced, not piled up


def test_a_list_that_is_gone(tmp_path: Path, lists: list[Path]) -> None:
    remembered(tmp_path / "cache", lists, ["x"], Parse())
    lists[1].unlink()
    with pytest.raises(DataError, match=r"two\.txt"):
        remembered(tmp_path / "cache", lists, ["x"], Parse())


def test_an_error_of_the_parser_is_not_remembered(tmp_path: Path, lists: list[Path]) -> None:
    def fails() -> Listing:
        raise DataError("line 3")

    with pytest.raises(DataError, match="line 3"):
        remembered(tmp_path / "cache", lists, ["x"], fails)
    assert not (tmp_path / "cache").exists()
    assert_equal(remembered(tmp_path / "cache", lists, ["x"], Parse()), listing())


def test_no_pairs(tmp_path: Path, lists: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert len(remembered(tmp_path / "cache", lists, ["x"], Parse(0)).names) == 0
    assert not caplog.records


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_listing_is_never_believed(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "list.txt")
        source.write_text("x")
        remembered(Path(folder), [source], ["x"], Parse())
        (path,) = Path(folder, "listings").iterdir()
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "zeros", "repeat"])):
            case "flip":
                content[place] ^= data.draw(st.integers(1, 255))
            case "cut":
                del content[place:]
            case "zeros":
                content[place : place + 40] = bytes(len(content[place : place + 40]))
            case "repeat":
                content[place:place] = content[:place]
        path.write_bytes(content)
        assert_equal(remembered(Path(folder), [source], ["x"], Parse()), listing())


def test_a_damaged_listing_is_replaced_and_named(
    tmp_path: Path, lists: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    remembered(tmp_path / "cache", lists, ["x"], Parse())
    (path,) = (tmp_path / "cache" / "listings").iterdir()
    content = path.read_bytes()
    np.savez(path, hash=np.array("0" * 32), text=np.zeros(3, np.uint8), texts=content[:4], labels=content[:4])
    parse = Parse()
    with caplog.at_level(logging.WARNING):
        remembered(tmp_path / "cache", lists, ["x"], parse)
        remembered(tmp_path / "cache", lists, ["x"], parse)
    assert parse.calls == 1
    assert [record.message for record in caplog.records] == [
        f"the listing {path} is damaged (it does not match its hash): the lists are parsed anew"
    ]


# ---- through the readers ----


def no_parsing(*_: object) -> Listing:
    raise AssertionError("parsed again")


def assert_same(first: Pairs, second: Pairs) -> None:
    assert first.fingerprint == second.fingerprint
    assert (first.names, first.captions, first.note) == (second.names, second.captions, second.note)
    np.testing.assert_array_equal(first.texts, second.texts)
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.images, second.images)


def test_nuswide_from_memory(tmp_path: Path, write_photo: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "nuswide"
    contents = {
        "ImageList/Imagelist.txt": "a\\1.jpg\na\\2.jpg\n",
        "ConceptsList/Concepts81.txt": "sky\n",
        "Groundtruth/AllLabels/Labels_sky.txt": "1\n1\n",
        "NUS_WID_Tags/AllTags1k.txt": "1 0\n1 1\n",
        "NUS_WID_Tags/TagList1k.txt": "blue\ncloud\n",
    }
    for name, text in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for number in (1, 2):
        write_photo(root / f"Flickr/a/{number}.jpg", 20 * number)

    def read(labels: int = 1) -> Pairs:
        return nuswide.nuswide_pairs(
            name="n", root=str(root), image_size=16, labels=labels, on_damaged="error", cache=str(tmp_path / "cache")
        )

    first = read()
    with monkeypatch.context() as patch:
        patch.setattr(nuswide, "_parse", no_parsing)
        assert_same(read(), first)
        (root / "Flickr").rename(root / "images")  # photos are looked for at every start
        assert_same(read(), first)
        (root / "NUS_WID_Tags/AllTags1k.txt").write_text("0 1\n1 1\n\n")
        with pytest.raises(AssertionError, match="parsed again"):
            read()
    assert read().captions == ("cloud", "blue cloud")
    (root / "NUS_WID_Tags/TagList1k.txt").unlink()
    assert read().captions == ("tag2", "tag1 tag2")


def test_mscoco_from_memory(tmp_path: Path, write_photo: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    root, words = tmp_path / "coco", tmp_path / "words.txt"
    (root / "annotations").mkdir(parents=True)
    for number, part in enumerate(("train2014", "val2014")):
        images = [{"id": number, "file_name": f"{number}.jpg"}]
        marks = [{"image_id": number, "category_id": 1}]
        instances = {"images": images, "annotations": marks, "categories": [{"id": 1, "name": "dog"}]}
        captions = {"annotations": [{"id": k, "image_id": number, "caption": f"dog {k}"} for k in range(9)]}
        (root / f"annotations/instances_{part}.json").write_text(json.dumps(instances))
        (root / f"annotations/captions_{part}.json").write_text(json.dumps(captions))
        write_photo(root / part / f"{number}.jpg", 20 * number)
    words.write_text("dog\n")

    def read(vocabulary: str | None = None, seed: int = 0) -> Pairs:
        return mscoco.mscoco_pairs(
            name="c",
            root=str(root),
            image_size=16,
            words=9,
            vocabulary=vocabulary,
            encoder=None,
            caption_seed=seed,
            on_damaged="error",
            cache=str(tmp_path / "cache"),
        )

    plain, known, other = read(), read(str(words)), read(seed=1)
    assert known.words == ("dog",)
    assert plain.captions != other.captions
    with monkeypatch.context() as patch:
        patch.setattr(mscoco, "_parse", no_parsing)
        for first, again in ((plain, read()), (known, read(str(words))), (other, read(seed=1))):
            assert_same(again, first)
        words.write_text("dog\ncat\n")  # text vectors are made anew at every start
        assert read(str(words)).words == ("dog", "cat")
