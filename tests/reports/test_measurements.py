from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aach_lightning.evaluation.card import Card
from aach_lightning.evaluation.result import Result
from aach_lightning.reports.collect import Collection, collect
from aach_lightning.reports.measurements import measurements, names_of_runs
from aach_lightning.reports.naming import system

Make = Callable[..., Result]
MakeCard = Callable[..., Card]
MAPS = {"I2T clean": 0.8, "I2T noise": 0.78, "I2T attack": 0.5, "I2T white_box": 0.3}


def saved(folder: Path, *runs: Result) -> Collection:
    for number, result in enumerate(runs):
        result.save(folder / str(number) / "result.json")
    return collect(folder)


def labels(found: Collection, *cards: Card) -> list[str]:
    return [label for _, label in names_of_runs(found, cards, ("seed",)).values()]


def test_every_map_is_a_row_and_chance_too(tmp_path: Path, run: Make) -> None:
    table = measurements(saved(tmp_path, run(MAPS)), [])
    assert dict(zip(table["query"], table["map"], strict=True)) == {
        "clean": 0.8,
        "noise": 0.78,
        "attack": 0.5,
        "white_box": 0.3,
        "chance": 0.25,
    }
    assert table["place"].unique().tolist() == ["scenes: DCMH 16 bits"]
    attack = table[table["query"] == "attack"].iloc[0]
    assert (attack["label"], attack["pairs"], attack["bound"], attack["seconds"]) == ("AACH", 20, 0.5, 1.25)


def test_a_card_and_the_run_behind_it_count_once(tmp_path: Path, run: Make, card: MakeCard) -> None:
    result = run(MAPS)
    found = saved(tmp_path, result)
    (row,) = [row for row in result.rows if row.query == "attack"]
    same = card("my method", 0.0, budget_pairs=20, data={**result.data}, target=result.config["target"])
    same = Card(**{**vars(same), "row": row})
    table = measurements(found, [same])
    attacks = table[table["query"] == "attack"]
    assert attacks["label"].tolist() == ["my method"]
    assert labels(found, same) == ["my method"]
    assert attacks["bound"].tolist() == [0.5]  # of the run, at the same place
    assert set(table["query"]) == {"clean", "noise", "attack", "white_box", "chance"}
    other = Card(**{**vars(same), "seed": 5})
    assert len(measurements(found, [other]).query("query == 'attack'")) == 2


def test_attackers_are_named_by_what_sets_them_apart(tmp_path: Path, run: Make) -> None:
    gap = [run(seed=seed, attack__steps=30, surrogate__margin=1) for seed in range(2)]
    few = saved(tmp_path / "few", *gap, run(attack__steps=60, surrogate__margin=1))
    assert sorted(labels(few)) == ["AACH, attack.steps=30", "AACH, attack.steps=30", "AACH, attack.steps=60"]
    usual = {"attack__steps": 30, "surrogate__margin": 1, "mining__gap": 4}
    runs = [run(seed=seed, **usual) for seed in range(3)]
    runs += [run(**{**usual, key: value}) for key, value in (("attack__steps", 9), ("mining__gap", 1))]
    runs += [run(**{**usual, "surrogate__margin": 7})]
    many = saved(tmp_path / "many", *runs)
    assert sorted(labels(many)) == ["AACH"] * 3 + [
        "AACH, attack.steps=9",
        "AACH, mining.gap=1",
        "AACH, surrogate.margin=7",
    ]


def test_what_changes_the_system_is_a_place_of_its_own(tmp_path: Path, run: Make) -> None:
    found = saved(tmp_path, run(), run(target__seed=1))
    places = [place for place, _ in names_of_runs(found, [], ("seed",)).values()]
    assert sorted(places) == ["scenes: DCMH 16 bits, target.seed=0", "scenes: DCMH 16 bits, target.seed=1"]
    assert len(set(measurements(found, [], ("seed", "target.seed"))["place"])) == 1


def test_cards_of_two_splits_are_not_compared(card: MakeCard) -> None:
    data = {"name": "photos", "note": "", "pairs": 60, "attacked": 200, "hash": "0", "split_hash": "another"}
    empty = Collection(*(collect_nothing()))
    table = measurements(empty, [card("aach", 0.5), card("aach", 0.4, data=data)])
    assert table["place"].nunique() == 2


def collect_nothing() -> tuple[Any, ...]:
    import pandas as pd

    return pd.DataFrame(), {}, {}, (), (), (), ()


@pytest.mark.parametrize(
    ("flat", "words"),
    [
        ({"target.name": "ssah", "target.code_length": 64}, "SSAH 64 bits"),
        (
            {
                "target.name": "dcmh",
                "target.code_length": 8,
                "target.defence._target_": "a.b.JPEG",
                "target.defence.quality": 75,
            },
            "DCMH 8 bits, behind JPEG(quality=75)",
        ),
        (
            {"target.name": "dcmh", "target.code_length": 8, "target.defence._target_": "torch.nn.Identity"},
            "DCMH 8 bits",
        ),
    ],
)
def test_a_system_in_words(flat: dict[str, Any], words: str) -> None:
    assert system(flat) == words


def test_random_edits_are_another_noise(card: MakeCard) -> None:
    cards = [card("noise", 0.7, "noise"), card("noise", 0.6, "noise", row_words=2.0)]
    table = measurements(Collection(*collect_nothing()), cards)
    maps = dict(zip(table["label"], table["map"], strict=True))
    assert (maps["random noise"], maps["random edits"]) == (0.7, 0.6)
