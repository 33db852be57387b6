"""What a service reveals to whoever asks it."""

from dataclasses import dataclass
from typing import Any

from aach_lightning.config.choices import AnswerName
from aach_lightning.config.option import POSITIVE, Limits, option

LARGEST_GALLERY = 2**16  # an id takes two bytes in a ledger


@dataclass
class AnswerConfig:
    """What an answer is."""

    name: AnswerName = option(AnswerName.codes, "codes; ranks: ids of a catalogue, nearest first; topk: the first k")
    gallery: int = option(1000, "ranks, topk: pairs of the database in the catalogue", Limits(2, LARGEST_GALLERY))
    k: int = option(50, "topk: how many ids", POSITIVE)

    @property
    def ranked(self) -> bool:
        """Whether ids of a gallery are answered, and no code."""
        return self.name is not AnswerName.codes

    @property
    def length(self) -> int:
        """Ids of an answer, where these are answered."""
        return self.k if self.name is AnswerName.topk else self.gallery

    def depended_on(self) -> dict[str, Any]:
        """A part of the key of whatever is built from answers, without idle keys; nothing where they are codes."""
        used = {AnswerName.codes: (), AnswerName.ranks: ("gallery",), AnswerName.topk: ("gallery", "k")}[self.name]
        described = {"name": self.name.value, **{key: getattr(self, key) for key in used}}
        return {"answer": described} if self.ranked else {}


ANSWERS = {name.value: AnswerConfig(name=name) for name in AnswerName}
"""The choices of `answer`."""
