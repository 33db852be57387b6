import csv
import importlib
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from omegaconf import OmegaConf
from PIL import Image, ImageDraw
from scipy.io import savemat

from aach_lightning.config.choices import OnDamaged
from aach_lightning.config.schema import register_schemas
from aach_lightning.data.pairs import Pairs
from aach_lightning.errors import ConfigError, DataError
from aach_lightning.readers import command
from aach_lightning.readers.check import check, duplicate_images, relevance_between, relevance_rate
from aach_lightning.readers.contact_sheet import LINE, LINES, MARGIN, TILE, contact_sheet
from aach_lightning.readers.kinds import KINDS, Kind, data_line, recognise

CONF = Path(__file__).parents[2] / "conf"
SIZE = 32
ROWS = [
    ("a", "0.png", "red one", "warm"),
    ("b", "1.png", "green", "cold|plant"),
    ("c", "0.png", "", "warm|plant"),
    ("d", "2.png", "blue [b]", ""),
    ("e", "3.png", "red two", "warm"),
]
COLOURS = [(250, 10, 20), (30, 200, 40), (10, 20, 240), (250, 10, 21)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for number, colour in enumerate(COLOURS):
        Image.new("RGB", (40, 30), colour).save(folder / f"{number}.png")
    with (folder / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "image", "text", "labels"), *ROWS])
    return folder


def test_findings(root: Path, tmp_path: Path) -> None:
    found = check(root, SIZE, tmp_path / "cache")
    assert found.kind.option == "pairs"
    assert len(found.pairs) == 5
    assert dict(zip(found.pairs.label_names, found.label_counts.tolist(), strict=True)) == {
        "cold": 1,
        "plant": 2,
        "warm": 3,
    }
    assert (found.unlabelled, found.textless, found.text_range, found.damage) == (1, 1, (0.0, 1.0), "")
    # of the ten pairs of pairs, a-c, a-e and c-e share warm and b-c shares plant
    assert found.relevance_rate == pytest.approx(4 / 10)
    assert found.duplicates == ((0, 2),)
    assert found.line == f"data=pairs data.root={root} data.image_size={SIZE}"


def test_damaged_images_are_named_and_left_out(root: Path, tmp_path: Path) -> None:
    (root / "1.png").write_bytes((root / "1.png").read_bytes()[:40])
    (root / "2.png").unlink()
    found = check(root, SIZE, tmp_path / "cache")
    assert found.pairs.names == ("a", "c", "e")
    assert found.pairs.skipped == 2
    assert str(root / "1.png") in found.damage
    assert str(root / "2.png") in found.damage
    assert found.line.endswith(" data.on_damaged=skip")
    assert found.duplicates == ((0, 1),)


def test_pack(tmp_path: Path) -> None:
    """A MATLAB file, with a copy of its first image in the fourth place."""
    blocks = np.random.default_rng(0).integers(0, 256, (6, 3, 4, 4))
    blocks[3] = blocks[0]
    labels = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 1], [1, 1]], np.uint8)
    texts = np.eye(6, 9, dtype=np.uint8)
    path = tmp_path / "pack.mat"
    images = np.kron(blocks, np.ones((1, 1, SIZE // 4, SIZE // 4), np.int64)).astype(np.uint8)
    savemat(path, {"images": images, "YAll": texts, "LAll": labels})
    found = check(path, SIZE, tmp_path / "cache")
    assert found.kind.option == "container"
    assert found.pairs.texts.tolist() == texts.tolist()
    assert found.label_counts.tolist() == [3, 4]
    assert found.relevance_rate == pytest.approx(naive_rate(labels))
    assert found.duplicates == ((0, 3),)
    assert found.line == f"data=container data.path={path} data.image_size={SIZE}"


def test_vectors_that_are_no_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative and zero entries count as they should, and no entry is written below a picture as if it were a word."""
    texts = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    texts[4] = 0
    texts[5] = -0.25
    images = np.random.default_rng(1).integers(0, 256, (6, 3, SIZE, SIZE)).astype(np.uint8)
    path = tmp_path / "pack.mat"
    savemat(path, {"images": images, "YAll": texts, "LAll": np.eye(6, 3, dtype=np.uint8)})
    found = check(path, SIZE, tmp_path / "cache")
    assert found.textless == 1
    assert found.text_range == (float(texts.min()), float(texts.max()))
    written: list[str] = []
    real = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw,
        "text",
        lambda self, place, text, **rest: written.append(text) or real(self, place, text, **rest),
    )
    contact_sheet(found.pairs, tmp_path / "sheet.png")
    assert written == [text for row in range(6) for text in (str(row), "", f"label {row}" if row < 3 else "")]


def test_what_cannot_be_read_at_all(root: Path, tmp_path: Path) -> None:
    (root / "pairs.csv").write_text("id,image\n")
    with pytest.raises(DataError, match="header"):
        check(root, SIZE, tmp_path / "cache")


def naive_rate(labels: NDArray[np.uint8]) -> float:
    pairs = [(i, j) for i in range(len(labels)) for j in range(len(labels)) if i != j]
    return sum(any(x and y for x, y in zip(labels[i], labels[j], strict=True)) for i, j in pairs) / max(1, len(pairs))


@settings(max_examples=50, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(0, 9), st.integers(0, 4)), elements=st.integers(0, 1)))
def test_relevance_rate_against_counting(labels: NDArray[np.uint8]) -> None:
    assert relevance_rate(labels) == pytest.approx(naive_rate(labels))


def test_relevance_rate_of_many_combinations() -> None:
    """More different rows than one block holds: every pair of eleven bits with the first bit set, and one stranger."""
    labels = ((np.arange(2048)[:, None] >> np.arange(11)) & 1).astype(np.uint8)
    shared = sum(2048 - 2 ** (11 - int(row.sum())) for row in labels)  # all but the subsets of the complement
    assert relevance_rate(labels) == pytest.approx((shared - 2047) / (2048 * 2047))


def test_relevance_between_parts() -> None:
    rng = np.random.default_rng(0)
    query, database = (rng.random((7, 3)) < 0.3).astype(np.uint8), (rng.random((11, 3)) < 0.3).astype(np.uint8)
    shared = sum(bool((q & d).any()) for q in query for d in database)
    assert relevance_between(query, database) == pytest.approx(shared / 77)
    assert relevance_between(query[:0], database) == 0.0


def test_duplicates_follow_image_rows(toy_pairs: Pairs) -> None:
    rows = np.array([5, 7, 5, 9, 7, 5])
    chosen = replace(
        toy_pairs,
        names=tuple("abcdef"),
        captions=("",) * 6,
        texts=toy_pairs.texts[rows],
        labels=toy_pairs.labels[rows],
        image_rows=rows,
    )
    assert duplicate_images(chosen) == ((0, 2, 5), (1, 4))
    assert duplicate_images(toy_pairs) == ()


# ---- the kinds ----


@pytest.mark.parametrize(
    ("files", "option"),
    [
        (["pairs.csv", "x.mat"], "pairs"),
        (["mirflickr/meta/tags/tags1.txt", "annotations/sky.txt"], "mirflickr25k"),
        (["meta/tags/tags1.txt"], "mirflickr25k"),
        (["ImageList/Imagelist.txt"], "nuswide_tc21"),
        (["annotations/instances_train2014.json"], "mscoco"),
        (["anything.MAT"], "container"),
        (["x.h5"], "container"),
    ],
)
def test_recognised_from_names(tmp_path: Path, files: list[str], option: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert recognise(tmp_path).option == option


def test_a_file_is_a_pack(tmp_path: Path) -> None:
    (tmp_path / "x.mat").touch()
    assert recognise(tmp_path / "x.mat").option == "container"


def test_what_is_of_no_kind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)none of the forms.*data=pairs.*data=mscoco"):
        recognise(tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        recognise(tmp_path / "nothing")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.option)
def test_read_as_the_option_would_read(kind: Kind) -> None:
    """The values of a kind are those of the choice of `data`, so that what was checked is what is trained on."""
    config = asdict(kind.configure("somewhere", 224, OnDamaged.error))
    module, function = config.pop("_target_").rsplit(".", 1)
    assert callable(getattr(importlib.import_module(module), function))
    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = OmegaConf.to_container(compose("attack", [f"data={kind.option}"]).data)
    assert isinstance(composed, dict)
    del composed["_target_"]
    assert config == {**composed, kind.key: "somewhere", "image_size": 224}


@pytest.mark.parametrize(
    "name", ["plain-1.0_x", "with space", "it's", 'say "x"', "$HOME `x` \\ y", "back\\'slash", "ü,{}=:"]
)
def test_line_survives_the_shell_and_hydra(name: str) -> None:
    line = data_line(KINDS[0], Path("folder") / name, 64, damaged=True)
    program = "import json, sys; print(json.dumps(sys.argv[1:]))"
    shown = subprocess.run(
        ["sh", "-c", f"'{sys.executable}' -c '{program}' {line}"], capture_output=True, text=True, check=True
    ).stdout
    parsed = {item.key_or_group: item.value() for item in OverridesParser.create().parse_overrides(json.loads(shown))}
    assert {key: getattr(value, "text", value) for key, value in parsed.items()} == {
        "data": "pairs",
        "data.root": f"folder/{name}",
        "data.image_size": 64,
        "data.on_damaged": "skip",
    }


# ---- the contact sheet and the command ----


def test_contact_sheet(root: Path, tmp_path: Path) -> None:
    pairs = check(root, SIZE, tmp_path / "cache").pairs
    contact_sheet(pairs, tmp_path / "new" / "sheet.png", most=3)
    with Image.open(tmp_path / "new" / "sheet.png") as image:
        assert image.format == "PNG"
        sheet = np.asarray(image)
    assert sheet.shape == (TILE + LINES * LINE + 2 * MARGIN, 3 * (TILE + MARGIN) + MARGIN, 3)
    for position, row in enumerate([0, 2, 4]):
        tile = sheet[MARGIN : MARGIN + TILE, MARGIN + position * (TILE + MARGIN) :][:, :TILE]
        assert (tile == COLOURS[int(ROWS[row][1][0])]).all()
        below = sheet[MARGIN + TILE :, MARGIN + position * (TILE + MARGIN) :][:, :TILE]
        assert (below < 100).any()  # something is written there


def test_contact_sheet_of_foreign_letters(toy_pairs: Pairs, tmp_path: Path) -> None:
    pairs = replace(toy_pairs, captions=("größe 犬\nx" * 20,) * 60, image_rows=np.arange(60)[::-1].copy())
    contact_sheet(pairs, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.height == MARGIN + 4 * (TILE + LINES * LINE + MARGIN)
        first = np.asarray(image)[MARGIN : MARGIN + TILE, MARGIN : MARGIN + TILE].mean((0, 1))
    assert np.abs(first - pairs.images[59].mean((1, 2))).max() < 3


def test_command(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "1.png").write_bytes(b"")
    sheet = tmp_path / "sheet.png"
    arguments = ["check", str(root), "--image-size", "32", "--cache", str(tmp_path / "cache"), "--sheet", str(sheet)]
    assert command.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    facts = {line[:16].strip(): line[16:].strip() for line in lines if len(line) > 16}
    assert facts["pairs"] == "4"
    assert facts["labels"] == "3; 1 pairs without any"
    assert facts["relevance rate"] == "0.5000, about the MAP of chance"
    assert facts["damaged images"] == "1"
    assert facts["repeated images"] == "1 in 1 groups"
    assert any(line.split() == ["warm", "3", "75.0%"] for line in lines)
    assert "equal images: a, c" in lines
    assert any(str(root / "1.png") in line for line in lines)
    assert any(
        line.startswith("protocol dcmh does not fit: says nothing about pairs; it knows mirfl") for line in lines
    )
    assert any(line.startswith("protocol random does not fit: split.query=500") for line in lines)
    assert lines[-1] == f"to use it: data=pairs data.root={root} data.image_size=32 data.on_damaged=skip"
    assert sheet.is_file()


def test_command_shows_the_parts_of_a_pack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    values = {}
    for split, count in (("te", 4), ("db", 9)):
        values[f"I_{split}"] = rng.integers(0, 256, (count, 3, SIZE, SIZE)).astype(np.uint8)
        values[f"T_{split}"] = rng.integers(0, 2, (count, 6)).astype(np.uint8)
        values[f"L_{split}"] = np.eye(2, dtype=np.uint8)[np.arange(count) // 3 % 2]  # three of the first label, ...
    savemat(tmp_path / "pack.mat", values)
    paths = ["--cache", str(tmp_path / "cache"), "--sheet", str(tmp_path / "sheet.png")]
    assert command.main(["check", str(tmp_path / "pack.mat"), "--image-size", str(SIZE), *paths]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["split", "query", "train", "database", "chance"] in lines
    # 3 queries of the first label find 6 of 9, 1 of the second 3 of 9; train is the whole database
    assert ["protocol=pack", "4", "9", "9", f"{(3 * 6 + 3) / 36:.4f}"] in lines


def test_command_explains_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["check", str(tmp_path)]) == 1
    assert "none of the forms" in capsys.readouterr().err
    for wrong in (["check"], ["download", "imagenet"], ["check", str(tmp_path), "--image-size", "0"]):
        with pytest.raises(SystemExit) as caught:
            command.main(wrong)
        assert caught.value.code == 2
        assert capsys.readouterr().err
