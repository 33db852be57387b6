"""What stands on the page, and in which order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pandas as pd

from aach_lightning.errors import DataError
from aach_lightning.evaluation.card import Card
from aach_lightning.evaluation.retrieval_curves import CURVES, RetrievalCurves
from aach_lightning.reports import costs, provenance
from aach_lightning.reports.collect import Collection, check_file
from aach_lightning.reports.gallery_page import RULE, gallery
from aach_lightning.reports.headline import (
    headline_sheets,
    in_setting,
    leading_setting,
    perceptibility_sheet,
    settings_of,
    title_of,
)
from aach_lightning.reports.leading import RULE_OF_RUNS, RULE_OF_SETTING, leading_runs
from aach_lightning.reports.measurements import names_of_runs
from aach_lightning.reports.overview import tiles
from aach_lightning.reports.page import Page, Picture, Section
from aach_lightning.reports.panels.attackers import attacker_panels, damage_panels
from aach_lightning.reports.panels.axes import axis_panels
from aach_lightning.reports.panels.panel import Panel
from aach_lightning.reports.panels.retrieval import retrieval_panels
from aach_lightning.reports.panels.trace import trace_panels
from aach_lightning.reports.sheet import Sheet
from aach_lightning.reports.text import printable

MOST_FOLDED, MOST_LINES = 24, 200
Setting = tuple[str, float, float]


@dataclass(frozen=True)
class Material:
    """What a page is made of.

    Attributes:
        root: Folder that was searched.
        found: Runs.
        cards: Of benchmarks.
        unreadable: Cards that could not be read.
        cells: Of `headline.cells_of`.
        over: Keys whose combinations are the replicates.
        draw: Writes a panel and gives it back as it stands in a page.
        write: Writes some tables under a name.
    """

    root: Path
    found: Collection
    cards: tuple[Card, ...]
    unreadable: tuple[tuple[Path, str], ...]
    cells: pd.DataFrame
    over: Sequence[str]
    draw: Callable[[Panel], Picture]
    write: Callable[[str, Sequence[Sheet]], None]


def make_page(material: Material) -> tuple[Page, list[tuple[Path, str]]]:
    """The page, and files beside results that could not be read, with the reason."""
    found, cells = material.found, material.cells
    setting = leading_setting(cells)
    names = names_of_runs(found, material.cards, material.over)
    runs = leading_runs(found, names, setting)
    curves, skipped = _curves(found, runs)
    shown, of_run, damaged = gallery(found, runs)
    skipped += damaged
    told = f"{names[runs[0]][1]}, M = {found.configs[runs[0]]['budget.pairs']:,}" if runs else ""
    sections = (
        _results(material, setting),
        _axes(material, setting),
        _steps(material, runs, told),
        _retrieval(material, curves, told),
        _perceptibility(material, setting),
        Section(
            "gallery",
            "Gallery",
            f"{RULE} {told}, {of_run}; {title_of(setting)}." if shown else "",
            exhibits=shown,
            missing="" if shown else "Missing: no run of the leading setting has kept attacked images.",
        ),
        *_tables(material, names, runs),
        _gaps(material, skipped),
    )
    shown_tiles = tiles(in_setting(cells, setting))
    page = Page(
        title=_title(cells),
        facts=_facts(material),
        notes=tuple(dict.fromkeys(printable(note) for note in _notes(material) if note)),
        tiles=shown_tiles,
        tiles_note=f"{title_of(setting)}. {RULE_OF_SETTING}" if shown_tiles else "",
        sections=tuple(section for section in sections if section is not None),
    )
    return page, skipped


def _title(cells: pd.DataFrame) -> str:
    places = [str(place) for place in cells["place"].unique()]
    return f"Attacks on {places[0]}" if len(places) == 1 else f"Attacks on {len(places)} systems"


def _facts(material: Material) -> tuple[str, ...]:
    cells = material.cells
    counts = (
        (len(material.found.configs), "run", "runs"),
        (len(material.cards), "benchmark card", "benchmark cards"),
        (cells.loc[cells["query"] == "attack", "label"].nunique(), "attacker", "attackers"),
        (len(settings_of(cells)), "setting", "settings"),
        (int(cells["n"].max()), "seed", "seeds at most"),
        (len(material.found.missing), "job without a result", "jobs without a result"),
    )
    return tuple(f"{count:,} {one if count == 1 else many}" for count, one, many in counts if count)


def _notes(material: Material) -> list[str]:
    runs = [str(result.data.get("note", "")) for _, result in material.found.results.values()]
    return runs + [str(card.data.get("note", "")) for card in material.cards]


def _results(material: Material, setting: Setting) -> Section:
    sheets = list(headline_sheets(material.cells))
    material.write("results", sheets)
    first = next(sheet for sheet in sheets if sheet.title == title_of(setting))
    pictures = tuple(map(material.draw, attacker_panels(in_setting(material.cells, setting))))
    others = tuple(sheet for sheet in sheets if sheet is not first)
    missing = ""
    if len(others) > MOST_FOLDED:
        missing = f"{len(others) - MOST_FOLDED:,} further settings are in tables/results.csv alone."
    intro = "MAP of the target for clean and attacked queries, beside chance and random noise of the same size."
    return Section("results", "Results", intro, pictures, (first,), others[:MOST_FOLDED], missing=missing)


def _axes(material: Material, setting: Setting) -> Section:
    cells = material.cells[material.cells["place"] == setting[0]]
    panels = chain.from_iterable(axis_panels(cells, along, setting) for along in ("budget", "epsilon"))
    pictures = tuple(map(material.draw, panels))
    intro = f"{setting[0]}. Bands are 95 % intervals over seeds."
    missing = "Missing: no attacker was measured at two budgets, or at two values of epsilon."
    return Section("axes", "Budget and epsilon", intro, pictures, missing="" if pictures else missing)


def _steps(material: Material, runs: Sequence[str], told: str) -> Section:
    pictures = tuple(map(material.draw, trace_panels([material.found.results[key][1] for key in runs], told)))
    intro = (
        f"{told}, mean and range over seeds, of an attack that is stopped after so many steps. Step 0 are the clean "
        f"queries, the last step is the attack of the tables. {RULE_OF_RUNS}"
    )
    missing = "Missing: no run of the leading setting has a trace; evaluation.trace=[1,3,10] measures one."
    return Section("steps", "Steps", intro if pictures else "", pictures, missing="" if pictures else missing)


def _retrieval(material: Material, curves: Sequence[RetrievalCurves], told: str) -> Section:
    pictures = tuple(map(material.draw, retrieval_panels(curves, told)))
    intro = (
        f"{told}, mean over {len(curves)} runs. Precision over recall: of everything within a Hamming radius; a query "
        f"that finds nothing there has precision 0. Then precision among the first N, expected over random ties."
    )
    missing = f"Missing: no run of the leading setting has a {CURVES} beside its result."
    return Section("retrieval", "Retrieval", intro if pictures else "", pictures, missing="" if pictures else missing)


def _perceptibility(material: Material, setting: Setting) -> Section:
    cells = material.cells
    sheets = [perceptibility_sheet(title_of(it), in_setting(cells, it)) for it in settings_of(cells)]
    material.write("perceptibility", sheets)
    first = next(sheet for sheet in sheets if sheet.title == title_of(setting))
    pictures = tuple(map(material.draw, damage_panels(in_setting(cells, setting))))
    intro = "What an attack costs in visibility, and what it gains: the upper left is where attackers want to be."
    return Section("perceptibility", "Perceptibility", intro, pictures, (first,))


def _tables(material: Material, names: costs.Names, runs: Sequence[str]) -> Iterator[Section]:
    found, cards = material.found, material.cards
    spent = [it for it in (costs.query_sheet(found, names), costs.stage_sheet(found)) if it.rows]
    spent += [it for it in (costs.crafting_sheet(cards),) if it is not None]
    material.write("costs", spent)
    missing = "Missing: no run tells its stages."
    yield Section("costs", "Queries and time", sheets=tuple(spent), missing="" if spent else missing)
    models = [it for it in (costs.surrogate_sheet(found, names), costs.target_sheet(found, names)) if it is not None]
    material.write("models", models)
    missing = "Missing: cards do not tell how much surrogates agree with the target, nor how the target was trained."
    yield Section("models", "Surrogates and targets", sheets=tuple(models), missing="" if models else missing)
    sources = [provenance.data_sheet(found, cards), provenance.version_sheet(found, cards)]
    commands = provenance.command_sheet(found, names, cards, material.root)
    material.write("provenance", [*sources, commands])
    folded = [commands, *(provenance.config_sheet(found.configs[key]) for key in (runs or list(names))[:1])]
    intro = "What it takes to repeat this page; result.json of each run holds its whole configuration."
    yield Section("provenance", "Provenance", intro, sheets=tuple(sources), folded=tuple(folded))


def _curves(found: Collection, runs: Sequence[str]) -> tuple[list[RetrievalCurves], list[tuple[Path, str]]]:
    curves, skipped = [], []
    for key in runs:
        path = found.results[key][0].parent / CURVES
        if not path.exists():
            continue
        try:
            check_file(path)
            curves.append(RetrievalCurves.load(path))
        except DataError as error:
            skipped.append((path, str(error)))
    return curves, skipped


def _gaps(material: Material, skipped: Sequence[tuple[Path, str]]) -> Section | None:
    """What was not counted, and why; None where there is nothing to say."""
    found = material.found
    lines = [f"no result: {job.folder}  {' '.join(job.overrides)}  {job.reason}" for job in found.missing]
    lines += [f"not read: {reason}" for _, reason in (*found.skipped, *material.unreadable, *skipped)]
    lines += [f"the same run, other numbers: {first} counts, {other} does not" for first, other in found.contradictions]
    if not lines:
        return None
    missing = f"and {len(lines) - MOST_LINES:,} more" if len(lines) > MOST_LINES else ""
    shown = tuple(map(printable, lines[:MOST_LINES]))
    return Section("missing", "Missing", "Nothing here enters a number above.", lines=shown, missing=missing)
