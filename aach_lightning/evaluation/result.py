"""One run's outcome as a versioned JSON document."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from aach_lightning.evaluation.document import checked, read_document
from aach_lightning.runtime.files import write_json

SCHEMA = "aach_lightning.result/3"
READABLE = (SCHEMA, "aach_lightning.result/2")  # 2 knows of no ranked answers
_ANSWER_BEFORE = {"name": "codes", "gallery": 1000, "k": 50}  # the defaults of `answer`

Direction = Literal["I2T", "T2I"]
Query = Literal["clean", "noise", "attack", "white_box"]
Needs = Literal["nothing", "top k", "ranks", "codes", "weights"]  # from the least to the most


@dataclass(frozen=True)
class Row:
    """What the target retrieved for one kind of query.

    Attributes:
        direction: "I2T", image queries against the texts of the database; "T2I" the other way.
        query: "clean"; "noise", random signs of the same size; "attack", what the configuration describes; "white_box",
            the same with the gradients of the target's own network.
        map: Mean average precision over the whole ranking, expected over random ties, in [0, 1].
        drop: MAP of the clean queries minus `map`.
        share_of_white_box: `drop` over the white-box drop; None where there is no white-box row or it did not drop.
        distance: Mean Hamming distance, in bits, between the codes of the clean and of these queries.
        epsilon: Bound of the change in units of the input (pixels lie in [0, 1]), or in words where texts are edited; 0
            for clean.
        linf: Largest change of an entry, after rounding of images to 8 bits.
        rms: Mean root-mean-square change of an item.
        psnr: dB; None for texts and clean queries.
        ssim: None for texts.
        pairs_queried: What the attacker paid for the surrogate, in pairs; 0 where nothing was asked.
        items_queried: What it paid for codes of attacked items, clean or changed, one query each.
        needs: What the row's attacker has of the target: "nothing"; ranked ids of a gallery, the first ("top k") or all
            ("ranks"); "codes"; or "weights" and with them gradients.
        labels: Whether the attacker was told labels.
        words: Mean number of words added or removed where texts are edited; else None.
        targeted_map: MAP where relevant is what a targeted attack wants to be found, over queries that are not relevant
            to it themselves; None for other attacks.
    """

    direction: Direction
    query: Query
    map: float
    drop: float
    share_of_white_box: float | None
    distance: float
    epsilon: float
    linf: float
    rms: float
    psnr: float | None
    ssim: float | None
    pairs_queried: int
    items_queried: int
    needs: Needs
    labels: bool
    words: float | None = None
    targeted_map: float | None = None


@dataclass(frozen=True)
class TracePoint:
    """What the attack did when it had taken some of its steps.

    Attributes:
        direction: "I2T" or "T2I".
        steps: How many.
        map: Mean average precision as of a `Row`.
        rms: Mean root-mean-square change of an item.
    """

    direction: Direction
    steps: int
    map: float
    rms: float


@dataclass(frozen=True)
class Result:
    """Everything that a table or a plot of this run needs, and what it takes to repeat it.

    Attributes:
        rows: Measurements.
        chance: MAP of a system that answers with one constant code, by direction; its targeted MAP by direction and
            "_targeted".
        target: Report of the target's training.
        surrogate: Agreement of the surrogate with the target on pairs that were never queried.
        queries: Budget, pairs spent, and the evaluation's own use of the target.
        data: Name, size, hashes and a note.
        config: The whole configuration but for paths.
        seed: Of the attacker.
        versions: Of Python and the libraries.
        stages: Seconds and peak memory of each stage, MiB.
        schema: Version of this form.
        trace: The attack after fewer steps, where `evaluation.trace` asks for it.
    """

    rows: tuple[Row, ...]
    chance: dict[str, float]
    target: dict[str, Any]
    surrogate: dict[str, float]
    queries: dict[str, int]
    data: dict[str, Any]
    config: dict[str, Any]
    seed: int
    versions: dict[str, str]
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    schema: str = SCHEMA
    trace: tuple[TracePoint, ...] = ()

    def row(self, direction: Direction, query: Query) -> Row | None:
        """The row of one kind of query, or None where it was not measured."""
        return next((row for row in self.rows if (row.direction, row.query) == (direction, query)), None)

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a saved result.

        Raises:
            DataError: If the file is unreadable, half-written, of another version, or a value of another type than its
                field.
        """
        return read_document(path, "result", READABLE, cls._of)

    @classmethod
    def _of(cls, content: dict[str, Any]) -> Self:
        if content["schema"] != SCHEMA:
            content |= {"schema": SCHEMA, "config": {**content["config"], "answer": dict(_ANSWER_BEFORE)}}
        content["rows"] = tuple(checked(Row, row) for row in content["rows"])
        content["trace"] = tuple(checked(TracePoint, point) for point in content.get("trace", ()))
        return checked(cls, content)
