import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from aach_lightning.evaluation.card import Card
from aach_lightning.evaluation.result import Result
from aach_lightning.reports.collect import Collection, collect
from aach_lightning.reports.headline import (
    headline_sheet,
    in_setting,
    leading_attack,
    leading_setting,
    ordered_rows,
    perceptibility_sheet,
)
from aach_lightning.reports.measurements import conditions, measurements
from aach_lightning.reports.sheet import Sheet

MakeCard = Callable[..., Card]
EMPTY = Collection(pd.DataFrame(), {}, {}, (), (), (), ())
VALUES = (0.40, 0.44, 0.45)


def cells(cards: list[Card]) -> pd.DataFrame:
    return conditions(measurements(EMPTY, cards))


def texts(sheet: Sheet, label: str) -> list[str]:
    (row,) = [row for row in sheet.rows if row[0].text == label]
    return [cell.text for cell in row]


def benchmark(card: MakeCard) -> list[Card]:
    cards = [card("aach", value, seed=seed) for seed, value in enumerate(VALUES)]
    cards += [card("aach, white box", value, "white_box", seed) for seed, value in enumerate((0.30, 0.28, 0.29))]
    cards += [card("clean", 0.8, "clean", seed) for seed in range(3)]
    return [*cards, card("noise", 0.78, "noise"), card("hag", 0.2, row_needs="weights", row_pairs_queried=0)]


def test_means_and_intervals_are_students(card: MakeCard) -> None:
    table = cells(benchmark(card))
    attack = table[table["label"] == "aach"].iloc[0]
    low, high = stats.t.interval(0.95, 2, np.mean(VALUES), stats.sem(VALUES))
    assert (attack["mean"], attack["low"], attack["high"]) == pytest.approx((np.mean(VALUES), low, high))
    assert attack["n"] == 3
    # (0.8 - 0.43) / (0.8 - 0.29): the ratio of the mean drops
    assert attack["share"] == pytest.approx(0.37 / 0.51)
    alone = table[table["label"] == "hag"].iloc[0]
    assert alone["n"] == 1
    assert math.isnan(alone["low"])
    assert alone["share"] == pytest.approx(0.6 / 0.5)  # with the bound of its own seed


def test_the_table_says_it(card: MakeCard) -> None:
    sheet = headline_sheet("title", cells(benchmark(card)))
    assert [column.name for column in sheet.columns] == [
        *("query", "pairs M", "MAP", "drop", "of bound", "needs", "codes an item", "seeds"),
    ]
    assert [row[0].text for row in sheet.rows] == [
        "clean queries",
        "random noise",
        "aach",
        "hag",
        "white-box bound",
        "chance",
    ]
    half = stats.t.ppf(0.975, 2) * stats.sem(VALUES)
    assert texts(sheet, "aach") == ["aach", "500", f"0.430 ±{half:.3f}", "+0.370", "73%", "codes", "0", "3"]
    assert texts(sheet, "hag") == ["hag", "0", "0.200", "+0.600", "120%", "weights", "0", "1"]
    assert texts(sheet, "chance")[2:5] == ["0.250", "", ""]
    assert texts(sheet, "clean queries")[:5] == ["clean queries", "", "0.800", "", ""]


def test_a_direction_that_nobody_measured_is_missing(card: MakeCard) -> None:
    cards = [card("aach", 0.5), card("words", 0.6, row_direction="T2I", row_psnr=None, row_ssim=None)]
    sheet = headline_sheet("title", cells(cards))
    assert texts(sheet, "aach")[2:8] == ["0.500", "+0.300", "", "missing", "", ""]
    assert texts(sheet, "words")[2:8] == ["missing", "", "", "0.600", "+0.200", ""]
    assert [name for name, _ in sheet.groups] == ["", "image→text", "text→image", ""]


def test_budgets_are_rows_and_what_paid_nothing_is_averaged_over_them(card: MakeCard) -> None:
    cards = [
        card("aach", value, budget_pairs=pairs, row_pairs_queried=pairs) for pairs, value in ((200, 0.5), (500, 0.4))
    ]
    cards += [card("hag", value, row_pairs_queried=0, budget_pairs=pairs) for pairs, value in ((200, 0.2), (500, 0.3))]
    table = cells(cards)
    assert table[table["label"] == "aach"].set_index("paid")["mean"].to_dict() == {200: 0.5, 500: 0.4}
    assert table[table["label"] == "hag"]["mean"].tolist() == [0.25]
    assert table[table["label"] == "hag"]["n"].tolist() == [1]
    assert [paid for _, label, paid in ordered_rows(table) if label == "aach"] == [200, 500]
    assert leading_attack(table) == ("aach", 500)


def test_the_leading_setting_has_most_attackers_then_seeds_then_epsilon(card: MakeCard) -> None:
    few = [card("aach", 0.5, epsilon=16.0)]
    many = [card(name, 0.5, epsilon=8.0) for name in ("aach", "hag")]
    seeds = [card(name, 0.5, epsilon=4.0, seed=seed) for name in ("aach", "hag") for seed in range(2)]
    assert leading_setting(cells(few + many))[1] == 8.0
    assert leading_setting(cells(few + many + seeds))[1] == 4.0
    assert leading_setting(cells([*few, card("aach", 0.5)]))[1] == 16.0


def test_without_aach_the_strongest_blind_attack_leads(card: MakeCard) -> None:
    weights = {"row_needs": "weights", "row_pairs_queried": 0}
    assert leading_attack(cells([card("a", 0.5), card("b", 0.4), card("c", 0.1, **weights)])) == ("b", 500)
    assert leading_attack(cells([card("c", 0.1, **weights)])) == ("c", 0)
    assert leading_attack(cells([card("clean", 0.8, "clean")])) is None


def test_perceptibility_and_damage(card: MakeCard) -> None:
    table = cells(benchmark(card))
    sheet = perceptibility_sheet("title", in_setting(table, leading_setting(table)))
    assert texts(sheet, "aach") == ["aach", "500", "+0.370", "3.0", "0.0200", "33.0", "0.900"]
    assert "clean queries" not in [row[0].text for row in sheet.rows]


def test_a_run_alone(tmp_path: Path, run: Callable[..., Result]) -> None:
    run().save(tmp_path / "result.json")
    sheet = headline_sheet("title", conditions(measurements(collect(tmp_path), [])))
    assert "one seed, no interval" in sheet.note
    assert texts(sheet, "AACH")[:4] == ["AACH", "20", "0.500", "+0.300"]
