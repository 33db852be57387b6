"""Systems that answer with ids of a gallery, as a user attacks them."""

import json
from typing import Any

import pytest
from safetensors.numpy import load_file

from aach_lightning.evaluation.result import Result

pytestmark = pytest.mark.timeout(400)
GALLERY = "answer.gallery=40"
FORMS: dict[str, tuple[str, ...]] = {
    "ranks": ("answer=ranks", GALLERY),
    "top k": ("answer=topk", GALLERY, "answer.k=7", "attack=dhta", "attack.modality=text"),
    "search": ("answer=ranks", GALLERY, "attack=square"),
    "too large": ("answer=topk", "answer.k=7"),
}


@pytest.fixture(scope="module")
def forms(launcher: Any, first: Any, scenes: tuple[str, ...]) -> dict[str, Any]:
    assert first.status == 0
    launcher.copy_target("first", "answers")
    commands = [("attack.py", (*scenes, *arguments), "answers") for arguments in FORMS.values()]
    return dict(zip(FORMS, launcher.run_forked(commands), strict=True))


@pytest.mark.parametrize("name", ["ranks", "top k"])
def test_a_result_says_what_was_revealed(forms: dict[str, Any], first: Any, name: str) -> None:
    run = forms[name]
    assert run.status == 0, run.errors + run.output
    result = Result.load(run.folder / "result.json")
    assert [row.needs for row in result.rows if row.query == "attack"] == [name] * (2 if name == "ranks" else 1)
    assert name in run.output
    assert result.queries["spent_pairs"] == 40
    answer = result.config["answer"]
    assert (answer["name"], answer["gallery"]) == (name.replace(" ", ""), 40)
    assert name == "ranks" or answer["k"] == 7
    # few items: MAP alone can be equal by chance
    of_codes = {
        (row["direction"], row["query"]): (row["map"], row["distance"], row["rms"]) for row in first.result["rows"]
    }
    for row in result.rows:
        same = row.query in ("clean", "noise") or (row.query == "white_box" and name == "ranks")
        if same or name == "ranks":
            assert ((row.map, row.distance, row.rms) == of_codes[row.direction, row.query]) is same


def test_what_is_kept_are_lists_and_estimates(forms: dict[str, Any], launcher: Any) -> None:
    kept = [load_file(path) for path in launcher.store("answers").glob("surrogate/*/answers.safetensors")]
    shapes = sorted(answers["image_lists"].shape for answers in kept)
    assert shapes == [(40, 7), (40, 40)]
    assert {answers["image_codes"].shape for answers in kept} == {(80, 16)}
    assert len(list(launcher.store("answers").glob("ledger/*.ledger"))) == 2


def test_what_needs_codes_is_refused(forms: dict[str, Any]) -> None:
    for name, message in (
        ("search", "attack.source=queries: a search measures distances between codes, and answer=ranks reveals none"),
        ("too large", "answer.gallery=1000: the catalogue is a part of the database: must be at most 130"),
    ):
        run = forms[name]
        assert run.status == 2
        assert message in run.errors
        assert "Traceback" not in run.output + run.errors


def test_what_a_result_of_codes_depends_on_says_nothing_of_lists(forms: dict[str, Any], launcher: Any) -> None:
    found = {
        store: [
            json.loads(path.read_text())["depends_on"] for path in launcher.store(store).glob("result/*/artifact.json")
        ]
        for store in ("first", "answers")
    }
    assert found["first"]
    assert all("answer" not in depends_on["config"] for depends_on in found["first"])
    assert {depends_on["config"]["answer"]["name"] for depends_on in found["answers"]} == {"ranks", "topk"}
