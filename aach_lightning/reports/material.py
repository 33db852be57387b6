"""What a page is made of: runs, cards, means, and the one setting and run that it shows where it can show one only."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pandas as pd

from aach_lightning.errors import DataError
from aach_lightning.evaluation.card import Card
from aach_lightning.evaluation.exhibits import GALLERY, load_exhibits
from aach_lightning.evaluation.gallery import Exhibit
from aach_lightning.evaluation.retrieval_curves import CURVES, RetrievalCurves
from aach_lightning.reports.collect import Collection, Skipped, check_file
from aach_lightning.reports.headline import Setting, in_setting, leading_setting
from aach_lightning.reports.measurements import conditions, measurements, names_of_runs

Content = TypeVar("Content")
RULE_OF_SETTING = (
    "The leading setting has the most attackers, then the most seeds, then the largest ε; figures show this one, "
    "tables all of them."
)
RULE_OF_RUNS = (
    "Shown are the runs of the leading setting that kept their curves and images: of AACH where there is one, then of "
    "the attack with the most seeds, then with the largest M."
)


@dataclass(frozen=True)
class Material:
    """What a page is made of.

    Attributes:
        root: Folder that was searched.
        found: Runs.
        cards: Of benchmarks.
        over: Keys whose combinations are the replicates.
        skipped: Files that could not be read, with the reason; those beside results as they are looked at.
    """

    root: Path
    found: Collection
    cards: tuple[Card, ...]
    over: tuple[str, ...]
    skipped: Skipped = field(default_factory=list)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Means over replicates, of `measurements.conditions`."""
        return conditions(measurements(self.found, self.cards, self.over))

    @cached_property
    def setting(self) -> Setting:
        """The one that `RULE_OF_SETTING` chooses."""
        return leading_setting(self.cells)

    @cached_property
    def leading(self) -> pd.DataFrame:
        """Means of the leading setting."""
        return in_setting(self.cells, self.setting)

    @cached_property
    def names(self) -> dict[str, tuple[str, str]]:
        """Place and attacker of each run."""
        return names_of_runs(self.found, self.cards, self.over)

    @cached_property
    def runs(self) -> tuple[str, ...]:
        """The runs that `RULE_OF_RUNS` chooses, by seed; none where there are only cards."""
        groups: dict[tuple[str, int], list[str]] = {}
        for key, (place, label) in self.names.items():
            flat = self.found.configs[key]
            if (place, flat["attack.epsilon"], flat["attack.text_epsilon"]) == self.setting:
                groups.setdefault((label, int(flat["budget.pairs"])), []).append(key)

        def rank(group: tuple[str, int]) -> tuple[bool, bool, int, int, str]:
            folders = [self.found.results[key][0].parent for key in groups[group]]
            kept = any((folder / name).exists() for folder in folders for name in (CURVES, GALLERY))
            return kept, group[0].startswith("AACH"), len(folders), group[1], group[0]

        chosen = groups[max(groups, key=rank)] if groups else []
        return tuple(sorted(chosen, key=lambda key: (self.found.results[key][1].seed, key)))

    @cached_property
    def told(self) -> str:
        """The leading runs in words."""
        if not self.runs:
            return ""
        key = self.runs[0]
        return f"{self.names[key][1]}, M = {self.found.configs[key]['budget.pairs']:,}"

    @cached_property
    def curves(self) -> list[RetrievalCurves]:
        """Precision and recall of the leading runs that kept them."""
        return [curves for _, curves in self._beside(CURVES, RetrievalCurves.load)]

    @cached_property
    def gallery(self) -> tuple[str, list[Exhibit]]:
        """The first of the leading runs that kept attacked images, and these; "" where there is none."""
        return next((it for it in self._beside(GALLERY, load_exhibits) if it[1]), ("", []))

    def _beside(self, name: str, load: Callable[[Path], Content]) -> Iterator[tuple[str, Content]]:
        """A file beside the results of the leading runs, where there is one that can be read."""
        for key in self.runs:
            path = self.found.results[key][0].parent / name
            if path.exists():
                try:
                    check_file(path)
                    yield key, load(path)
                except DataError as error:
                    self.skipped.append((path, str(error)))
