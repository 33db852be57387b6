import csv
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from aach_lightning.evaluation.card import Card
from aach_lightning.evaluation.result import Result
from aach_lightning.reports import build as building
from aach_lightning.reports.__main__ import main
from aach_lightning.reports.page import Picture
from tests.reports.page_folder import HOSTILE, fill

SECTIONS = [
    "results",
    "axes",
    "steps",
    "retrieval",
    "perceptibility",
    "gallery",
    "costs",
    "models",
    "provenance",
    "missing",
]
FIGURES = {
    f"{name}_{direction}"
    for direction in ("I2T", "T2I")
    for name in ("attackers", "budget", "damage", "precision_recall", "precision_at", "steps_map", "steps_distortion")
} | {"epsilon_I2T"}  # texts have one epsilon


class Reader(HTMLParser):
    """Elements, their attributes, and what is written between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="session")
def page(report: Path) -> Reader:
    return Reader((report / "index.html").read_text(encoding="utf-8"))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without figures, which take most of the time."""
    monkeypatch.setattr(building, "_save", lambda panel, folder: Picture("data:,", panel.alt, 1, 1))


def test_files(report: Path) -> None:
    assert {path.name for path in report.iterdir()} == {"index.html", "tables", "figures"}
    assert {path.name for path in (report / "figures").iterdir()} == {
        f"{name}.{form}" for name in FIGURES for form in ("svg", "png")
    }
    tables = ("results", "perceptibility", "costs", "models", "provenance")
    expected = {f"{name}.{form}" for name in tables for form in ("md", "tex", "csv")}
    assert {path.name for path in (report / "tables").iterdir()} == {*expected, "cells.csv"}


def test_the_page_has_its_parts(page: Reader) -> None:
    assert [part["id"] for part in page.all("section") if "id" in part] == SECTIONS
    assert [link["href"] for link in page.all("a")][1:] == [f"#{name}" for name in SECTIONS]
    assert len(page.all("img")) == len(FIGURES) + 3 * 3  # three attacked images, three pictures each
    assert all(image["alt"] for image in page.all("img"))
    heads = page.all("th")
    assert {head.get("scope") for head in heads} == {"col", "row", "colgroup"}
    assert {head["aria-sort"] for head in heads if head["scope"] == "col"} == {"none"}
    for said in ("moved least", "at 50% of the ranking", "moved most, the worst case", "equal bits", "Student"):
        assert said in page.text


def test_the_page_loads_nothing_and_runs_one_script(page: Reader) -> None:
    sources = [value for _, attributes in page.elements for name, value in attributes.items() if name == "src"]
    assert all(source and source.startswith("data:image/") for source in sources)
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert len(page.all("script")) == len(page.all("style")) == 1
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not [1 for _, attributes in page.elements if "style" in attributes]
    (policy,) = [meta["content"] or "" for meta in page.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy


def test_names_are_text_wherever_they_stand(page: Reader) -> None:
    """Data set, note, protocol, version, override, reason, method, hardware, exhibit and retrieved text."""
    assert page.text.count(HOSTILE) >= 10
    assert "\x1b" not in page.text
    assert "\\x1b[31m" in page.text


def test_numbers_of_the_page_are_those_of_the_runs(page: Reader, report: Path) -> None:
    cells = pd.read_csv(report / "tables" / "cells.csv")
    own = cells[(cells["query"] == "attack") & (cells["epsilon"] == 8) & (cells["direction"] == "I2T")]
    # 0.7 - M / 200 - 8 / 80, and half of 0.01 for the second seed
    assert own[own["label"] == "AACH"].set_index("pairs")["map"].to_dict() == pytest.approx({20: 0.505, 40: 0.405})
    assert own[own["label"] == "AACH"]["n"].tolist() == [2, 2]
    # Student's t(0.975, 1) times 0.01 / sqrt(2) / sqrt(2)
    assert "0.405 ±0.064" in page.text
    with (report / "tables" / "results.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["query"] == "AACH" and row["pairs M"] == "40.0"]
    assert [float(row["image→text MAP"]) for row in rows] == pytest.approx([0.455, 0.405])
    assert Counter(cells["query"])["attack"] == 2 * 2 * 2 + 1  # directions, budgets, epsilons; the cards


def test_tables_and_paths_of_a_paper(report: Path) -> None:
    for name in ("results", "provenance"):
        text = (report / "tables" / f"{name}.tex").read_text(encoding="utf-8")
        assert text.count(r"\begin{table}") == text.count(r"\end{table}") == text.count(r"\toprule") >= 3
        assert not re.search(r"(?<!\\)[#]|<script", text)
    commands = (report / "tables" / "provenance.csv").read_text(encoding="utf-8")
    assert "python attack.py seed=0 " in commands
    assert "paths.store" not in commands


@pytest.mark.usefixtures("undrawn")
def test_the_same_files_give_the_same_page(
    tmp_path: Path,
    run: Callable[..., Result],
    job: Callable[..., None],
    card: Callable[..., Card],
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill(tmp_path / "runs", run, job, card)
    assert main(["build", str(tmp_path / "runs")]) == 0
    first = (tmp_path / "runs" / "report" / "index.html").read_bytes()
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == f"page:    {tmp_path / 'runs' / 'report' / 'index.html'}"
    assert captured.out.splitlines()[0] == "8 runs, 2 benchmark cards"
    assert "1 jobs have no result" in captured.err
    assert main(["build", str(tmp_path / "runs"), "--to", str(tmp_path / "other")]) == 0
    assert (tmp_path / "other" / "index.html").read_bytes() == first


@pytest.mark.usefixtures("undrawn")
def test_what_is_missing_is_shown_as_missing(tmp_path: Path, run: Callable[..., Result]) -> None:
    run().save(tmp_path / "result.json")
    assert main(["build", str(tmp_path)]) == 0
    page = Reader((tmp_path / "report" / "index.html").read_text(encoding="utf-8"))
    assert page.text.count("Missing: ") == 5  # axes, steps, curves, gallery, models
    assert "white-box bound" in page.text


@pytest.mark.usefixtures("undrawn")
def test_cards_alone_are_a_report(tmp_path: Path, card: Callable[..., Card]) -> None:
    for it in (card("aach", 0.5), card("clean", 0.8, "clean")):
        it.save(tmp_path / "cards")
    assert main(["build", str(tmp_path), "--to", str(tmp_path / "to")]) == 0
    page = Reader((tmp_path / "to" / "index.html").read_text(encoding="utf-8"))
    assert "photos: DCMH 32 bits" in page.text
    assert "python attack.py attack=aach" in page.text


@pytest.mark.usefixtures("undrawn")
def test_what_cannot_be_read_is_told_and_the_rest_is_written(
    tmp_path: Path, run: Callable[..., Result], card: Callable[..., Card], capsys: pytest.CaptureFixture[str]
) -> None:
    run().save(tmp_path / "1" / "result.json")
    damaged = {"1/curves.json": "{", "1/gallery.json": "[]", "cards/a.json": "{", "2/result.json": "{"}
    flawed: Any = card("aach", 0.5, target={"name": None})
    flawed.save(tmp_path / "cards")
    for name, text in damaged.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert main(["build", str(tmp_path)]) == 3
    errors = capsys.readouterr().err
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    for name in damaged:
        assert str(tmp_path / name) in errors
        assert str(tmp_path / name) in page
    assert "target.name is None" in errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{}"], "there is no result and no card below"),
        (["{}/absent"], "there is no folder"),
        (["{}", "--to", "{}/file"], "must be a folder, this is a file"),
    ],
)
def test_mistakes_are_explained(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["build", *(word.format(tmp_path) for word in arguments)]) == 1
    assert said in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["build", "--help"])
    said = capsys.readouterr().out
    for word in ("index.html", "tables/", "figures/", "exit status", "--over", "DIR/report"):
        assert word in said
