"""The rows of finished jobs as cards."""

from collections.abc import Sequence
from dataclasses import replace

from aach_lightning.benchmark.plan import Job
from aach_lightning.evaluation.card import REFERENCE, Card
from aach_lightning.evaluation.result import Result, Row


def cards_of(job: Job, result: Result, hardware: str) -> list[Card]:
    """All rows of a finished job as cards."""
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
                epsilon=config["attack"]["epsilon"],
                text_epsilon=config["attack"]["text_epsilon"],
                chance=result.chance[row.direction],
                target=dict(config["target"]),
                data={key: result.data[key] for key in ("name", "note", "pairs", "attacked", "hash", "split_hash")},
                seconds=_seconds(result, row),
                overrides=list(job.overrides),
                versions=result.versions,
                hardware=hardware,
            )
        )
    return cards


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
