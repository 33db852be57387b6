"""What stands on the page, and in which order."""

from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from aach_lightning.evaluation.retrieval_curves import CURVES
from aach_lightning.reports import costs, provenance
from aach_lightning.reports.exhibits import RULE, shown_exhibits
from aach_lightning.reports.headline import (
    headline_sheet,
    in_setting,
    perceptibility_sheet,
    settings_of,
    tiles,
    title_of,
)
from aach_lightning.reports.material import RULE_OF_RUNS, RULE_OF_SETTING, Material
from aach_lightning.reports.page import Picture, Section, render
from aach_lightning.reports.sheet import Sheet
from aach_lightning.reports.text import printable

MOST_FOLDED, MOST_LINES = 24, 200
Draw = Callable[[str], tuple[Picture, ...]]
Write = Callable[[Sequence[Sheet], str], None]


def make_page(material: Material, draw: Draw, write: Write) -> bytes:
    """The page as HTML.

    Args:
        material: What it shows.
        draw: Pictures of a section, by its name in `panels.PANELS`.
        write: Keeps some tables as files, by a name.
    """
    cells = material.cells
    places = [str(place) for place in cells["place"].unique()]
    notes = [result.data.get("note", "") for _, result in material.found.results.values()]
    notes += [card.data.get("note", "") for card in material.cards]
    shown = tiles(material.leading)
    return render(
        title=f"Attacks on {places[0]}" if len(places) == 1 else f"Attacks on {len(places)} systems",
        sections=list(_sections(material, draw, write)),
        facts=_facts(material),
        notes=list(dict.fromkeys(printable(str(note)) for note in notes if note)),
        tiles=shown,
        tiles_note=f"{title_of(material.setting)}. {RULE_OF_SETTING}" if shown else "",
    )


def _facts(material: Material) -> list[str]:
    cells = material.cells
    counts = (
        (len(material.found.configs), "run", "runs"),
        (len(material.cards), "benchmark card", "benchmark cards"),
        (cells.loc[cells["query"] == "attack", "label"].nunique(), "attacker", "attackers"),
        (len(settings_of(cells)), "setting", "settings"),
        (int(cells["n"].max()), "seed", "seeds at most"),
        (len(material.found.missing), "job without a result", "jobs without a result"),
    )
    return [f"{count:,} {one if count == 1 else many}" for count, one, many in counts if count]


def _sections(material: Material, draw: Draw, write: Write) -> Iterator[Section]:
    def pictured(name: str, title: str, intro: str, missing: str) -> Section:
        pictures = draw(name)
        return Section(name, title, intro if pictures else "", pictures, missing="" if pictures else missing)

    settings = settings_of(material.cells)
    leading = settings.index(material.setting)
    place, told = material.setting[0], material.told

    def tables(make: Callable[[str, pd.DataFrame], Sheet]) -> list[Sheet]:
        return [make(title_of(setting), in_setting(material.cells, setting)) for setting in settings]

    sheets = tables(headline_sheet)
    write(sheets, "results")
    others = [*sheets[:leading], *sheets[leading + 1 :]]
    yield Section(
        "results",
        "Results",
        "MAP of the target for clean and attacked queries, beside chance and random noise of the same size.",
        draw("results"),
        (sheets[leading],),
        tuple(others[:MOST_FOLDED]),
        missing=f"{len(others) - MOST_FOLDED:,} further settings are in tables/results.csv alone."
        if len(others) > MOST_FOLDED
        else "",
    )
    yield pictured(
        "axes",
        "Budget and epsilon",
        f"{place}. Bands are 95 % intervals over seeds.",
        "Missing: no attacker was measured at two budgets, or at two values of epsilon.",
    )
    yield pictured(
        "steps",
        "Steps",
        f"{told}, mean and range over seeds, of an attack that is stopped after so many steps. Step 0 are the clean "
        f"queries, the last step is the attack of the tables. {RULE_OF_RUNS}",
        "Missing: no run of the leading setting has a trace; evaluation.trace=[1,3,10] measures one.",
    )
    yield pictured(
        "retrieval",
        "Retrieval",
        f"{told}, mean over {len(material.curves)} runs. Precision over recall: of everything within a Hamming radius; "
        "a query that finds nothing there has precision 0. Then precision among the first N, expected over ties.",
        f"Missing: no run of the leading setting has a {CURVES} beside its result.",
    )
    sheets = tables(perceptibility_sheet)
    write(sheets, "perceptibility")
    intro = "What an attack costs in visibility, and what it gains: the upper left is where attackers want to be."
    yield Section("perceptibility", "Perceptibility", intro, draw("perceptibility"), (sheets[leading],))
    yield _gallery(material)
    yield from _tables(material, write)
    if (gaps := _gaps(material)) is not None:
        yield gaps


def _gallery(material: Material) -> Section:
    key, exhibits = material.gallery
    if not exhibits:
        missing = "Missing: no run of the leading setting has kept attacked images."
        return Section("gallery", "Gallery", missing=missing)
    intro = f"{RULE} {material.told}, seed {material.found.results[key][1].seed}; {title_of(material.setting)}."
    return Section("gallery", "Gallery", intro, exhibits=shown_exhibits(exhibits, material.setting[1] / 255))


def _tables(material: Material, write: Write) -> Iterator[Section]:
    found, cards, names = material.found, material.cards, material.names

    def section(name: str, title: str, sheets: Sequence[Sheet | None], missing: str) -> Section:
        shown = [sheet for sheet in sheets if sheet is not None and sheet.rows]
        write(shown, name)
        return Section(name, title, sheets=tuple(shown), missing="" if shown else missing)

    spent = [costs.query_sheet(found, names), costs.stage_sheet(found), costs.crafting_sheet(cards)]
    yield section("costs", "Queries and time", spent, "Missing: no run tells its stages.")
    models = [costs.surrogate_sheet(found, names), costs.target_sheet(found, names)]
    missing = "Missing: cards do not tell how much surrogates agree with the target, nor how the target was trained."
    yield section("models", "Surrogates and targets", models, missing)
    sources = [provenance.data_sheet(found, cards), provenance.version_sheet(found, cards)]
    commands = provenance.command_sheet(found, names, cards, material.root)
    write([*sources, commands], "provenance")
    configs = [provenance.config_sheet(found.configs[key]) for key in (material.runs or list(names))[:1]]
    intro = "What it takes to repeat this page; result.json of each run holds its whole configuration."
    yield Section("provenance", "Provenance", intro, sheets=tuple(sources), folded=(commands, *configs))


def _gaps(material: Material) -> Section | None:
    """What was not counted, and why; None where there is nothing to say."""
    found = material.found
    lines = [f"no result: {job}" for job in found.missing]
    lines += [f"not read: {reason}" for _, reason in (*found.skipped, *material.skipped)]
    lines += [f"the same run, other numbers: {first} counts, {other} does not" for first, other in found.contradictions]
    missing = f"and {len(lines) - MOST_LINES:,} more" if len(lines) > MOST_LINES else ""
    shown = tuple(map(printable, lines[:MOST_LINES]))
    intro = "Nothing here enters a number above."
    return Section("missing", "Missing", intro, lines=shown, missing=missing) if lines else None
