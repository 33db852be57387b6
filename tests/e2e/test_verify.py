"""Cards of a real benchmark are measured again, and forged ones found out."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aach_lightning.benchmark.__main__ import main
from aach_lightning.data.adversarial_set import MANIFEST
from aach_lightning.errors import DataError
from aach_lightning.evaluation.card import Card
from aach_lightning.reports.__main__ import INCOMPLETE, REFUTED
from aach_lightning.reports.__main__ import main as reports
from aach_lightning.reports.verify import verify
from aach_lightning.runtime.files import digest

METHODS = "aach,square,cmla,edits of 3 words"


@pytest.fixture(scope="module")
def measured(scenes: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verified")
    paths = [f"paths.{name}={folder / name}" for name in ("store", "cache")]
    saving = "evaluation.save_adversarial=true"
    assert main(["--to", str(folder / "to"), "--methods", METHODS, *scenes, *paths, saving, "attack.edits=2"]) == 0
    return folder / "to"


def here(measured: Path) -> list[str]:
    """Where data and targets lie, which no card says."""
    return [f"paths.{name}={measured.parent / name}" for name in ("store", "cache")]


def cards(folder: Path, method: str = "") -> dict[Path, Card]:
    found = {path: Card.load(path) for path in sorted((folder / "cards").glob("*.json"))}
    return {path: card for path, card in found.items() if method in ("", card.method)}


def test_every_attack_of_a_benchmark_is_verified(measured: Path) -> None:
    attacks = [path for path, card in cards(measured).items() if card.row.query == "attack"]
    assert len(attacks) == 3 * 2 + 1
    for path in attacks:
        found = verify(path, None, here(measured), 1e-6)
        assert found.reasons == ()
        assert found.found == pytest.approx(found.claimed, abs=1e-6)


def test_rows_without_saved_queries_say_so(measured: Path) -> None:
    for method in ("clean", "noise", "aach, white box"):
        for path in cards(measured, method):
            with pytest.raises(DataError, match="no adversarial queries were saved with this row"):
                verify(path, None, here(measured), 1e-6)


def image_card(measured: Path) -> Card:
    (found,) = [card for card in cards(measured, "aach").values() if card.row.direction == "I2T"]
    return found


def forged(measured: Path, tmp_path: Path, **changes: Any) -> tuple[Path, Path]:
    """A card with other values, and a copy of its queries."""
    card = image_card(measured)
    (source,) = [
        manifest.parent
        for manifest in measured.glob("runs/*/adversarial/manifest.json")
        if digest(manifest.read_bytes()) == card.adversarial
    ]
    shutil.copytree(source, tmp_path / "adversarial")
    row = {name: value for name, value in changes.items() if hasattr(card.row, name)}
    own = {name: value for name, value in changes.items() if name not in row}
    replace(card, row=replace(card.row, **row), **own).save(tmp_path / "cards")
    (new,) = (tmp_path / "cards").iterdir()
    return new, tmp_path / "adversarial"


def test_another_map_is_found_out(measured: Path, tmp_path: Path) -> None:
    honest = image_card(measured)
    claimed = honest.row.map - 0.01
    path, folder = forged(measured, tmp_path, map=claimed)
    found = verify(path, folder, here(measured), 1e-3)
    assert found.reasons == (f"MAP is {claimed:.4f} on the card and {honest.row.map:.4f} here",)
    assert verify(path, folder, here(measured), 0.02).reasons == ()


def test_another_target_is_found_out(measured: Path, tmp_path: Path) -> None:
    target = image_card(measured).target | {"adversarial": {"method": "pgd"}}
    path, folder = forged(measured, tmp_path, target=target)
    (reason,) = verify(path, folder, here(measured), 1e-3).reasons
    assert "hardened by PGD on the card, and its overrides make DCMH 16 bits" in reason


def changed_image(folder: Path, by: int) -> str:
    """Move one pixel of the first image, and write it into the manifest; the new hash of the manifest."""
    manifest = json.loads((folder / MANIFEST).read_text())
    item = manifest["items"][0]
    with Image.open(folder / item["image"]) as image:
        pixels = np.array(image)
    pixels[0, 0, 0] += by if pixels[0, 0, 0] < 128 else -by
    Image.fromarray(pixels).save(folder / item["image"])
    item["hash"] = digest((folder / item["image"]).read_bytes())
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return digest((folder / MANIFEST).read_bytes())


def test_images_beyond_epsilon_are_found_out(measured: Path, tmp_path: Path) -> None:
    path, folder = forged(measured, tmp_path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"adversarial": changed_image(folder, 60)}))
    found = verify(path, folder, here(measured), 1.0)
    (reason,) = found.reasons
    levels, allowed = re.findall(r"[\d.]+", reason)
    assert int(levels) >= 60 - 8
    assert allowed == "8"


def test_other_queries_and_other_data_are_found_out(measured: Path, tmp_path: Path) -> None:
    path, folder = forged(measured, tmp_path)
    changed_image(folder, 1)
    with pytest.raises(DataError, match=r"its manifest has the hash \w+, the card names"):
        verify(path, folder, here(measured), 1e-3)
    with pytest.raises(DataError, match="saved these queries; give their --adversarial FOLDER"):
        verify(path, None, here(measured), 1e-3)
    shutil.rmtree(tmp_path)
    path, folder = forged(measured, tmp_path, pairs_queried=10_000)
    found = verify(path, folder, [*here(measured), "split.seed=5"], 1e-3)
    assert found.found is None
    assert [reason.split(" ")[0] for reason in found.reasons] == ["10000", "data.split_hash", "the"]


def test_the_commands_say_what_they_found(measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ((path, _),) = [it for it in cards(measured, "square").items() if it[1].row.direction == "T2I"]
    assert reports(["verify", str(path), *here(measured)]) == 0
    assert re.search(r"MAP on the card (0\.\d{4}), measured again \1\nverified: ", capsys.readouterr().out)
    folder = tmp_path / "forged"
    forged_card, saved = forged(measured, folder, pairs_queried=10_000)
    assert reports(["verify", str(forged_card), *here(measured), "--adversarial", str(saved)]) == REFUTED
    assert "does not hold: 10000 pairs queried of 40\nrefuted: " in capsys.readouterr().out
    assert reports(["verify", str(tmp_path / "nothing.json")]) == 1
    assert "cannot read the card" in capsys.readouterr().err
    board = tmp_path / "board"
    assert reports(["leaderboard", str(measured), str(folder), "--to", str(board)]) == INCOMPLETE
    told = capsys.readouterr()
    assert "10000 pairs queried of 40" in told.err
    assert told.out.rstrip().endswith(f"page: {board / 'leaderboard.html'}")
    with (board / "leaderboard.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    methods = {card.method for card in cards(measured).values()}
    assert {row["method"] for row in rows} == methods
    for row in rows:
        (card,) = [it for it in cards(measured, row["method"]).values() if it.row.direction == row["direction"]]
        assert float(row["MAP"]) == pytest.approx(card.row.map)
    page = (board / "leaderboard.html").read_text(encoding="utf-8")
    assert "10000 pairs queried of 40" in page
    assert page.count("<tr") >= len(rows)
