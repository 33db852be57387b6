import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aach_lightning.benchmark.cards import with_shares
from aach_lightning.benchmark.table import markdown
from aach_lightning.errors import DataError
from aach_lightning.evaluation.card import Card
from aach_lightning.evaluation.result import Row

CLEAN = 0.7


def card(method: str, query: Any, value: float, seed: int = 0, direction: Any = "I2T", **changes: Any) -> Card:
    needs: Any = {"attack": "codes", "white_box": "weights"}.get(query, "nothing")
    row = Row(
        direction=direction,
        query=query,
        map=value,
        drop=CLEAN - value,
        share_of_white_box=None,
        distance=3.0,
        epsilon=8 / 255,
        linf=8 / 255,
        rms=0.02,
        psnr=33.0 if direction == "I2T" else None,
        ssim=0.9 if direction == "I2T" else None,
        pairs_queried=500 if needs == "codes" else 0,
        items_queried=400 if needs == "codes" else 0,
        needs=needs,
        labels=False,
    )
    values: dict[str, Any] = {
        "method": method,
        "row": row,
        "setting": {"budget.pairs": "500"},
        "seed": seed,
        "budget_pairs": 500,
        "budget_items": 400,
        "norm": "linf",
        "epsilon": 8.0,
        "text_epsilon": 0.1,
        "chance": 0.3,
        "target": {"name": "dcmh", "code_length": 32},
        "data": {
            "name": "toy",
            "note": "",
            "protocol": "random",
            "pairs": 60,
            "attacked": 200,
            "hash": "0",
            "split_hash": "1",
        },
        "seconds": 2.0,
        "overrides": ["attack=aach"],
        "versions": {"torch": "2"},
        "hardware": "a machine",
        "answer": {"name": "codes"},
    }
    return Card(**(values | changes))


def cells(table: str, method: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {method} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_card_comes_back_as_it_was(tmp_path: Path) -> None:
    first = card("a/b c", "attack", 0.4)
    first.save(tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.name == first.name
    assert path.name.startswith("a_b_c-I2T-")
    assert Card.load(path) == first


def test_a_card_says_what_was_revealed(tmp_path: Path) -> None:
    codes = card("aach", "attack", 0.4)
    ranks = card("aach", "attack", 0.4, answer={"name": "ranks", "gallery": 9})
    assert codes.name != ranks.name
    ranks.save(tmp_path)
    assert Card.load(tmp_path / ranks.name).answer == {"name": "ranks", "gallery": 9}


def test_rows_stand_in_the_order_of_what_is_needed() -> None:
    def needing(method: str, needs: Any) -> Card:
        one = card(method, "attack", 0.4)
        return replace(one, row=replace(one.row, needs=needs))

    cards = [card("w", "white_box", 0.2), needing("c", "codes"), needing("r", "ranks"), needing("t", "top k")]
    table = markdown([*cards, needing("n", "nothing"), card("noise", "noise", 0.6), card("clean", "clean", 0.7)])
    methods = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert methods == ["method", "clean", "noise", "n", "t", "r", "c", "w"]


@pytest.mark.parametrize("damage", ["{", "[]", '{"schema": "aach_lightning.card/9"}', "", '{"schema": 1}'])
def test_a_damaged_card_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(damage)
    with pytest.raises(DataError, match=r"card\.json"):
        Card.load(path)
    content = json.loads((tmp_path / "whole.json").read_text()) if (tmp_path / "whole.json").exists() else {}
    assert content == {}


def test_shares_are_of_the_reference_at_the_same_place() -> None:
    others = card("aach, white box", "white_box", 0.1, seed=1)
    cards = [
        card("clean", "clean", CLEAN),
        card("aach", "attack", 0.5),
        card("aach, white box", "white_box", 0.2),
        card("hag", "attack", 0.6),
        others,
        card("hag", "attack", 0.6, seed=1),
        card("hag", "attack", 0.6, seed=2),
        card("hag", "attack", 0.6, direction="T2I"),
        card("hag", "attack", 0.6, setting={"budget.pairs": "200"}),
    ]
    shares = [it.row.share_of_white_box for it in with_shares(cards)]
    assert shares[0] is None
    assert shares[1:6] == pytest.approx([0.2 / 0.5, 1.0, 0.1 / 0.5, 1.0, 0.1 / 0.6])
    assert shares[6:] == [None] * 3
    no_drop = [card("aach", "attack", 0.5), card("aach, white box", "white_box", CLEAN + 0.1)]
    assert [it.row.share_of_white_box for it in with_shares(no_drop)] == [None, None]


def test_a_table_has_means_and_intervals_over_seeds() -> None:
    cards = [
        *(card("aach", "attack", value, seed) for seed, value in enumerate((0.40, 0.44, 0.45))),
        *(card("clean", "clean", CLEAN, seed) for seed in range(3)),
        *(card("aach, white box", "white_box", value, seed) for seed, value in enumerate((0.20, 0.22, 0.18))),
        card("words", "attack", 0.5, direction="T2I"),
    ]
    table = markdown(cards)
    # by hand: mean .43, s = .026458, t(.975, 2) = 4.302653
    half = 4.302653 * math.sqrt((0.03**2 + 0.01**2 + 0.02**2) / 2) / math.sqrt(3)
    found = cells(table, "aach")
    assert found[4] == f"0.430 ±{half:.3f}"
    assert found[5] == "54%"  # (.7 - .43) / (.7 - .2)
    assert found[:4] == ["aach", "codes", "500", "2"]
    assert found[-1] == "3"
    assert cells(table, "words")[4:8] == ["", "", "0.500", ""]
    assert cells(table, "clean")[5] == ""
    names = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert names == ["method", "clean", "aach", "words", "aach, white box"]


def test_each_setting_has_a_table_of_its_own() -> None:
    first = card("aach", "attack", 0.5)
    table = markdown([first, replace(first, setting={"budget.pairs": "200"}), replace(first, setting={})])
    titles = [line for line in table.splitlines() if line.startswith("## ")]
    assert titles == ["## budget.pairs=500", "## budget.pairs=200", "## one setting"]
