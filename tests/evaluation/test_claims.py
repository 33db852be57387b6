"""A card that contradicts itself is found out, by the claim that it breaks."""

from dataclasses import replace
from typing import Any

import pytest

from aach_lightning.evaluation.card import Card
from aach_lightning.evaluation.claims import broken_claims
from aach_lightning.evaluation.result import Row


def card(direction: Any = "I2T", **changes: Any) -> Card:
    row = Row(direction, "attack", 0.4, 0.3, None, 9.0, 0.0, 0.0, 0.0, None, None, 500, 0, "codes", False)
    bound = 8 / 255 if direction == "I2T" else 0.1
    row = replace(row, epsilon=bound, linf=bound, rms=bound / 2)
    values = {
        "method": "aach",
        "row": row,
        "setting": {},
        "seed": 0,
        "budget_pairs": 500,
        "budget_items": 0,
        "norm": "linf",
        "epsilon": 8.0,
        "text_epsilon": 0.1,
        "chance": 0.3,
        "target": {"name": "dcmh", "code_length": 32},
        "data": {"name": "toy"},
        "seconds": 1.0,
        "overrides": [],
        "versions": {},
        "hardware": "",
        "answer": {"name": "codes"},
    }
    own = {name: value for name, value in changes.items() if name not in values}
    kept = {name: value for name, value in changes.items() if name in values}
    return Card(**(values | {"row": replace(row, **own)} | kept))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "kept",
    [
        card(),
        card("T2I"),
        card(linf=float.fromhex("0x1.0101020000000p-5")),  # 8/255 as float32
        card(norm="l2", epsilon=1552.0, linf=0.9),
        card("T2I", words=2.5, epsilon=3.0, linf=1.0),
        card(items_queried=200, budget_items=200),
        card(query="clean", linf=0.0, rms=0.0, pairs_queried=0, needs="nothing"),
    ],
)
def test_a_consistent_card_is_kept(kept: Card) -> None:
    if kept.row.words is not None:
        kept = replace(kept, row=replace(kept.row, epsilon=3.0))
    assert broken_claims(kept) == []


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (card(pairs_queried=501), "501 pairs queried of 500"),
        (card(items_queried=1), "1 items queried of 0"),
        (card(items_queried=1, budget_items=5, query="white_box"), "1 items queried of 0"),
        (card(pairs_queried=-1), "a negative count"),
        (card(linf=9 / 255), "changed by 0.03529, epsilon is 0.03137"),
        (card(linf=8.01 / 255), "epsilon is 0.03137"),
        (card("T2I", linf=0.2), "changed by 0.20000, epsilon is 0.10000"),
        (card(norm="one_sided", linf=9 / 255), "epsilon is"),
        (card(rms=0.04), "RMS change of 0.04"),
        (card(needs="nothing"), "though it needs nothing"),
        (card(map=1.2), "a MAP of 1.2"),
        (card(map=-0.1), "a MAP of -0.1"),
        (card(distance=33.0), "moved by 33"),
        (card("T2I", words=1.0), "1.0 words edited on average"),
    ],
)
def test_a_broken_claim_is_named(broken: Card, reason: str) -> None:
    assert any(reason in found for found in broken_claims(broken)), broken_claims(broken)
