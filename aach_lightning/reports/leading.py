"""What a page shows where it can show one thing only, by rules that it states."""

from collections.abc import Mapping

import pandas as pd

from aach_lightning.evaluation.exhibits import GALLERY
from aach_lightning.evaluation.retrieval_curves import CURVES
from aach_lightning.reports.collect import Collection

RULE_OF_SETTING = (
    "The leading setting has the most attackers, then the most seeds, then the largest ε; figures show this one, "
    "tables all of them."
)
RULE_OF_RUNS = (
    "Shown are the runs of the leading setting that kept their curves and images: of AACH where there is one, then of "
    "the attack with the most seeds, then with the largest M."
)


def leading_runs(
    found: Collection, names: Mapping[str, tuple[str, str]], setting: tuple[str, float, float]
) -> tuple[str, ...]:
    """The runs that `RULE_OF_RUNS` chooses, by seed; none where there are only cards.

    Args:
        found: Of `reports.collect.collect`.
        names: Of `measurements.names_of_runs`.
        setting: Of `headline.leading_setting`.
    """
    groups: dict[tuple[str, int], list[str]] = {}
    for key, (place, label) in names.items():
        flat = found.configs[key]
        if (place, flat["attack.epsilon"], flat["attack.text_epsilon"]) == setting:
            groups.setdefault((label, int(flat["budget.pairs"])), []).append(key)

    def rank(group: tuple[str, int]) -> tuple[bool, bool, int, int, str]:
        folders = [found.results[key][0].parent for key in groups[group]]
        kept = any((folder / name).exists() for folder in folders for name in (CURVES, GALLERY))
        return kept, group[0].startswith("AACH"), len(folders), group[1], group[0]

    if not groups:
        return ()
    chosen = groups[max(groups, key=rank)]
    return tuple(sorted(chosen, key=lambda key: (found.results[key][1].seed, key)))


def leading_attack(cells: pd.DataFrame) -> tuple[str, int] | None:
    """Label and paid pairs of the attack of one setting that a summary names.

    AACH with the largest M, the shortest label first; else the attack without weights that leaves the lowest MAP; None
    where nothing was attacked.
    """
    attacks = cells[cells["query"] == "attack"]
    if attacks.empty:
        return None
    own = attacks[attacks["label"].str.upper().str.startswith("AACH")]
    if not own.empty:
        own = own.assign(length=own["label"].str.len()).sort_values(["length", "paid"], ascending=[True, False])
        return str(own["label"].iloc[0]), int(own["paid"].iloc[0])
    blind = attacks[~attacks["needs"].str.startswith("weights")]
    ranked = (attacks if blind.empty else blind).sort_values("mean", kind="stable")
    return str(ranked["label"].iloc[0]), int(ranked["paid"].iloc[0])
