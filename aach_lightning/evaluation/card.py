"""One row of a benchmark as a document that stands alone."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from aach_lightning.evaluation.document import checked, read_document
from aach_lightning.evaluation.result import Row
from aach_lightning.runtime.files import digest_json, write_json

SCHEMA = "aach_lightning.card/2"
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
        budget_items: Queries for codes of attacked items, clean or changed, that were allowed in this direction.
        norm: Which norm of the change is bounded: "linf", "one_sided" (the same, and nothing gets smaller), "l2".
        epsilon: Bound on images, in 1/255.
        text_epsilon: Bound on texts, in units of a text entry.
        chance: MAP of a constant code.
        target: Name, code length, networks and defence of the system under attack.
        data: Name, note, protocol, size, and hashes of data and split.
        answer: What the system revealed: name, and where it ranked a gallery, the size of that and k.
        seconds: That it took to craft the changes of all items; a surrogate shared with other methods does not count.
        overrides: What repeats it: python attack.py OVERRIDES.
        versions: Of Python and the libraries.
        hardware: What it ran on.
        adversarial: Hash of the manifest of the attacked queries, where the run has saved them; else None.
        schema: Version of this form.
    """

    method: str
    row: Row
    setting: dict[str, str]
    seed: int
    budget_pairs: int
    budget_items: int
    norm: str
    epsilon: float
    text_epsilon: float
    chance: float
    target: dict[str, Any]
    data: dict[str, Any]
    seconds: float
    overrides: list[str]
    versions: dict[str, str]
    hardware: str
    answer: dict[str, Any]
    adversarial: str | None = None
    schema: str = SCHEMA

    @property
    def place(self) -> tuple[Any, ...]:
        """What cards have in common that may be compared: all but the method."""
        return self.row.direction, *self.setting.items(), self.seed, self.data["hash"], self.data["split_hash"]

    @property
    def name(self) -> str:
        """Name of the file that it is saved as."""
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
            DataError: If it is unreadable, of another version, or a value of another type than its field.
        """
        return read_document(path, "card", (SCHEMA,), lambda content: checked(cls, _with_row(content)))


def _with_row(content: dict[str, Any]) -> dict[str, Any]:
    return content | {"row": checked(Row, content["row"])}
