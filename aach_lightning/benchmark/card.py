"""One row of a benchmark as a document that stands alone."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from aach_lightning.benchmark.plan import Job
from aach_lightning.evaluation.result import Result, Row
from aach_lightning.runtime.errors import DataError
from aach_lightning.runtime.files import digest_json, write_json

SCHEMA = "aach_lightning.card/2"
READABLE = (SCHEMA, "aach_lightning.card/1")  # 1 knows of no answers but codes
REFERENCE = "white_box"  # kind of query whose drop the others are measured by


@dataclass(frozen=True)
class Card:
    """What one method did in one direction.

    Attributes:
        method: Its name in the plan; "clean", "noise", or "METHOD, white box" for rows that come with a method.
        row: The measurement, with what the attacker needed.
        setting: What was swept, but for the seed.
        seed: Of the attacker.
        budget_pairs: Query budget M that was allowed.
        epsilon: Bound on images, in 1/255.
        text_epsilon: Bound on texts, in units of a text entry.
        chance: MAP of a constant code.
        target: Name, code length, networks and defence of the system under attack.
        data: Name, note, size, and hashes of data and split.
        answer: What the system revealed: name, and where it ranked a gallery, the size of that and k.
        seconds: That it took to craft the changes of all items; a surrogate shared with other methods does not count.
        overrides: What repeats it: python attack.py OVERRIDES.
        versions: Of Python and the libraries.
        hardware: What it ran on.
        schema: Version of this form.
    """

    method: str
    row: Row
    setting: dict[str, str]
    seed: int
    budget_pairs: int
    epsilon: float
    text_epsilon: float
    chance: float
    target: dict[str, Any]
    data: dict[str, Any]
    seconds: float
    overrides: list[str]
    versions: dict[str, str]
    hardware: str
    answer: dict[str, Any] = field(default_factory=lambda: {"name": "codes"})
    schema: str = SCHEMA

    @property
    def place(self) -> tuple[Any, ...]:
        """What cards have in common that may be compared: all but the method."""
        return self.row.direction, *self.setting.items(), self.seed, self.data["hash"], self.data["split_hash"]

    @property
    def name(self) -> str:
        """Of its file."""
        content = [self.method, self.row.direction, self.seed, self.setting, self.target, self.data["split_hash"]]
        content += [] if self.answer["name"] == "codes" else [self.answer]
        words = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in self.method)
        return f"{words}-{self.row.direction}-{digest_json(content)[:10]}.json"

    def save(self, folder: Path) -> None:
        """Write as JSON, atomically."""
        write_json(folder / self.name, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a saved card.

        Raises:
            DataError: If it is unreadable or of another version.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.get("schema") not in READABLE:
                known = " and ".join(map(repr, READABLE))
                raise DataError(f"{path} has schema {content.get('schema')!r}, this version reads {known}")
            return cls(**(content | {"row": Row(**content["row"]), "schema": SCHEMA}))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"cannot read the card {path}: {error}") from error


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
                answer=dict(config["answer"]),
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
