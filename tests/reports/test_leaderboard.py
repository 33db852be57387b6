"""Cards of several targets in one table, and those that stay out."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

from aach_lightning.errors import DataError
from aach_lightning.evaluation.card import Card
from aach_lightning.reports.leaderboard import card_files, make_leaderboard

MakeCard = Callable[..., Card]


@pytest.fixture
def target(card: MakeCard) -> dict[str, Any]:
    return card("aach", 0.4).target


def saved(folder: Path, *cards: Card) -> list[Path]:
    for one in cards:
        one.save(folder / "cards")
    return card_files([folder])


def test_seeds_are_averaged_and_methods_sorted(tmp_path: Path, card: MakeCard) -> None:
    values = [0.40, 0.44, 0.48]
    found = make_leaderboard(
        saved(
            tmp_path,
            *(card("b", value, seed=seed) for seed, value in enumerate(values)),
            card("a", 0.5),
            card("c", 0.3),
        )
    )
    assert found.table["method"].tolist() == ["c", "b", "a"]
    row = found.table.iloc[1]
    assert row["map"] == pytest.approx(mean(values))
    assert row["half"] == pytest.approx(4.302653 * stdev(values) / 3**0.5, rel=1e-5)  # t(.975, 2) from a table
    assert row["seeds"] == 3
    assert found.table["half"].isna().tolist() == [True, False, True]
    drops = make_leaderboard(card_files([tmp_path]), "drop").table
    assert drops["method"].tolist() == ["c", "b", "a"]
    assert make_leaderboard(card_files([tmp_path]), "method").table["method"].tolist() == ["a", "b", "c"]


def test_a_seed_is_one_value_however_often_it_was_measured(tmp_path: Path, card: MakeCard) -> None:
    """A benchmark over epsilons of images repeats the cards of texts."""
    text = replace(card("aach", 0.4).row, direction="T2I", linf=0.1, epsilon=0.1)
    cards = [
        card(
            "aach", 0.4, row=replace(text, map=0.3 + seed / 10), seed=seed, epsilon=epsilon, setting={"": str(epsilon)}
        )
        for seed in (0, 1)
        for epsilon in (4.0, 8.0)
    ]
    table = make_leaderboard(saved(tmp_path, *cards)).table
    assert table["seeds"].tolist() == [2]
    assert table["map"].tolist() == pytest.approx([0.35])
    assert table["half"].tolist() == pytest.approx([12.706205 * stdev([0.3, 0.4]) / 2**0.5], rel=1e-5)


def test_targets_and_defences_are_rows_of_their_own(tmp_path: Path, card: MakeCard, target: dict[str, Any]) -> None:
    jpeg = target | {"defence": {"_target_": "aach_lightning.networks.defences.jpeg.JPEG", "quality": 75}}
    hardened = jpeg | {"adversarial": {"method": "pgd"}}
    cards = [card("aach", 0.4, target=one) for one in (target, jpeg, hardened, target | {"code_length": 64})]
    table = make_leaderboard(saved(tmp_path, *cards)).table
    assert sorted(zip(table["bits"], table["defence"], strict=True)) == [
        (32, "behind JPEG(quality=75)"),
        (32, "hardened by PGD, behind JPEG(quality=75)"),
        (32, "none"),
        (64, "none"),
    ]


def test_what_breaks_its_claims_stays_out_with_the_reason(tmp_path: Path, card: MakeCard) -> None:
    good = card("aach", 0.4)
    greedy = card("greedy", 0.4, row=replace(good.row, pairs_queried=501))
    loud = card("loud", 0.4, row=replace(good.row, linf=10 / 255))
    other = card("other", 0.4, data=good.data | {"split_hash": "t"})
    paths = saved(tmp_path, good, card("more", 0.4), greedy, loud, other)
    (tmp_path / "cards" / "broken.json").write_text("{")
    (tmp_path / "cards" / "old.json").write_text(json.dumps({"schema": "aach_lightning.card/1"}))
    (tmp_path / "cards" / "huge.json").write_text(" " * (2**20 + 1))
    paths = card_files([tmp_path])
    found = make_leaderboard(paths)
    assert sorted(found.table["method"]) == ["aach", "more"]
    reasons = {path.name.split("-")[0]: reason for path, reason in found.rejected}
    assert "501 pairs queried of 500" in reasons["greedy"]
    assert "epsilon is 0.03137" in reasons["loud"]
    assert reasons["other"] == "split t, this table compares 1 on photos"
    assert "cannot read" in reasons["broken.json"]
    assert "this version reads 'aach_lightning.card/2'" in reasons["old.json"]
    assert "at most 1,048,576" in reasons["huge.json"]
    assert make_leaderboard(paths, split="t").table["method"].tolist() == ["other"]
    with pytest.raises(DataError, match=r"no card is left of 8:(?s:.*)split 1, this table compares nothing"):
        make_leaderboard(paths, split="nothing")


def test_a_card_counts_once(tmp_path: Path, card: MakeCard) -> None:
    paths = saved(tmp_path / "one", card("aach", 0.4)) + saved(tmp_path / "two", card("aach", 0.4))
    found = make_leaderboard(paths)
    assert found.table["seeds"].tolist() == [1]
    assert found.repeated == (paths[1],)


def test_places_without_cards_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no"):
        card_files([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="no card below"):
        card_files([tmp_path])
