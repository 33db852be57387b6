"""The rows of finished jobs as cards."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aach_lightning.benchmark.plan import Job
from aach_lightning.config.choices import SourceName
from aach_lightning.evaluation.card import REFERENCE, Card
from aach_lightning.evaluation.result import Result, Row

_DATA = ("name", "note", "protocol", "pairs", "attacked", "hash", "split_hash")


def cards_of(job: Job, result: Result, hardware: str, adversarial: str | None = None) -> list[Card]:
    """All rows of a finished job as cards.

    Args:
        job: What was run.
        result: What came of it.
        hardware: What it ran on.
        adversarial: Hash of the manifest of the attacked queries; None where they were not saved.
    """
    config, cards = result.config, []
    for row in result.rows:
        method = {"attack": job.method, REFERENCE: f"{job.method}, white box"}.get(row.query, row.query)
        cards.append(
            Card(
                method=method,
                row=row,
                setting=dict(job.setting),
                seed=result.seed,
                budget_pairs=config["budget"]["pairs"],
                budget_items=_budget_items(config),
                norm=config["attack"]["norm"],
                epsilon=config["attack"]["epsilon"],
                text_epsilon=config["attack"]["text_epsilon"],
                chance=result.chance[row.direction],
                target=dict(config["target"]),
                data={key: result.data[key] for key in _DATA},
                seconds=_seconds(result, row),
                overrides=list(job.overrides),
                versions=result.versions,
                hardware=hardware,
                answer=dict(config["answer"]),
                adversarial=adversarial if row.query == "attack" else None,
            )
        )
    return cards


def _budget_items(config: dict[str, Any]) -> int:
    """Queries for codes of attacked items that a direction may spend: see `open_target` and `open_for_search`."""
    attack = config["attack"]
    if attack["source"] == SourceName.queries:
        return int(attack["queries"])
    anchors = config["evaluation"]["queries"] if attack["query_anchor"] else 0
    return int(anchors) + (attack["target_item"] is not None)


def _seconds(result: Result, row: Row) -> float:
    half = "image" if row.direction == "I2T" else "text"
    return result.stages.get(f"{row.query} {half}", {"seconds": 0.0})["seconds"]


def with_shares(cards: Sequence[Card]) -> list[Card]:
    """The same cards, with each drop as a share of the white-box drop at the same place.

    A place has at most one white-box reference: the methods of a plan but one leave theirs out.
    """
    bounds = {card.place: card.row.drop for card in cards if card.row.query == REFERENCE}
    shared = []
    for card in cards:
        bound = bounds.get(card.place, 0.0)
        share = card.row.drop / bound if bound > 0 and card.row.query != "clean" else None
        shared.append(replace(card, row=replace(card.row, share_of_white_box=share)))
    return shared
