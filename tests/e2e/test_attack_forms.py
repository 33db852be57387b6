"""Edited texts, targeted attacks and universal deltas, as a user starts them."""

import json
from typing import Any

import pytest
from safetensors.numpy import load_file

from aach_lightning.evaluation.result import Result

pytestmark = pytest.mark.timeout(400)

FORMS: dict[str, tuple[str, ...]] = {
    "edits": ("attack=aach_edits", "attack.edits=2", "attack.modality=text"),
    "other": ("attack=dhta",),
    "label": ("attack=dhta", "attack.target_label=sky", "attack.source=target", "evaluation.white_box=false"),
    "item": ("attack=dhta", "attack.target_item=scene-0-43", "attack.text_form=edits"),
    "universal": ("attack=universal",),
    "fewer": ("attack=universal", "evaluation.queries=5", "attack.modality=image"),
    "nobody": ("attack=dhta", "attack.target_label=nobody"),
}


@pytest.fixture(scope="module")
def forms(launcher: Any, first: Any, scenes: tuple[str, ...]) -> dict[str, Any]:
    assert first.status == 0
    launcher.copy_target("first", "forms")
    commands = [("attack.py", (*scenes, *arguments), "forms") for arguments in FORMS.values()]
    return dict(zip(FORMS, launcher.run_forked(commands), strict=True))


def maps(run: Any, *queries: str) -> list[float]:
    return [row["map"] for row in run.result["rows"] if row["query"] in queries]


@pytest.mark.parametrize("name", [name for name in FORMS if name != "nobody"])
def test_it_ends_well_with_a_result_of_its_form(forms: dict[str, Any], first: Any, name: str) -> None:
    run = forms[name]
    assert run.status == 0, run.errors + run.output
    result = Result.load(run.folder / "result.json")
    assert result.queries["spent_pairs"] == (0 if name == "label" else 40)
    if name != "fewer":
        clean = {row["direction"]: row["map"] for row in first.result["rows"] if row["query"] == "clean"}
        assert {row.direction: row.map for row in result.rows if row.query == "clean"}.items() <= clean.items()


def test_edited_words_are_told_and_few(forms: dict[str, Any]) -> None:
    run = forms["edits"]
    changes = json.loads((run.folder / "words.json").read_text(encoding="utf-8"))
    assert len(changes) == 12
    for change in changes:
        for query in ("attack", "white_box"):
            added, removed = set(change[query]["added"]), set(change[query]["removed"])
            assert len(added) + len(removed) <= 2
            assert removed < set(change["words"])
            assert not added & set(change["words"])
    rows = {row["query"]: row for row in run.result["rows"]}
    assert set(rows) == {"clean", "noise", "attack", "white_box"}
    for query in ("attack", "white_box"):
        total = sum(len(change[query]["added"]) + len(change[query]["removed"]) for change in changes)
        assert rows[query]["words"] == pytest.approx(total / 12)
        assert rows[query]["words"] > 0
        assert rows[query]["linf"] == 1
    assert rows["noise"]["words"] == 2
    assert "text→image, 2 words" in run.output
    assert "texts edited by the attack: " in run.output
    assert str(run.folder / "words.json") in run.output
    assert not (run.folder / "attack.png").exists()


def test_a_targeted_attack_shows_what_it_wants_to_be_found(forms: dict[str, Any], first: Any) -> None:
    for name in ("other", "label", "item"):
        run = forms[name]
        assert "targeted MAP" in run.output
        assert {"I2T_targeted", "T2I_targeted"} < set(run.result["chance"])
        for row in run.result["rows"]:
            assert 0 <= row["targeted_map"] <= 1
            by_label = row["query"] in ("attack", "white_box") and name != "item"
            assert row["labels"] == by_label
    assert all(row["targeted_map"] is None for row in first.result["rows"])
    assert maps(forms["other"], "attack", "white_box") != maps(first, "attack", "white_box")
    assert {row["query"] for row in forms["label"].result["rows"]} == {"clean", "noise", "attack"}


def test_the_code_of_a_wanted_item_is_paid_for_once_a_direction(forms: dict[str, Any]) -> None:
    result = forms["item"].result
    paid = {(row["direction"], row["query"]): row["items_queried"] for row in result["rows"]}
    assert {key for key, count in paid.items() if count} == {("I2T", "attack"), ("T2I", "attack")}
    assert result["queries"]["spent_items"] == 2  # one of the queries is wanted, which is none of the attacker's pairs
    assert (forms["item"].folder / "words.json").exists()


def test_a_universal_delta_is_one_and_serves_other_queries(forms: dict[str, Any], launcher: Any) -> None:
    deltas = [load_file(file)["delta"] for file in launcher.store("forms").glob("universal/*/delta.safetensors")]
    # black box and white box, images and texts; the run with fewer queries found its two
    assert sorted(delta.shape[0] for delta in deltas) == [1, 1, 1, 1]
    assert sorted(delta.ndim for delta in deltas) == [2, 2, 4, 4]
    for row in forms["universal"].result["rows"]:
        assert row["linf"] <= {"I2T": 8 / 255, "T2I": 0.1}[row["direction"]] + 1e-6
        assert row["linf"] > 0 or row["query"] == "clean"
    assert maps(forms["universal"], "attack") != maps(forms["universal"], "clean")


def test_an_unknown_label_is_refused_before_anything_is_trained(forms: dict[str, Any]) -> None:
    run = forms["nobody"]
    assert run.status == 2
    assert "attack.target_label=nobody: must be null" in run.output + run.errors
    assert "Traceback" not in run.output + run.errors
