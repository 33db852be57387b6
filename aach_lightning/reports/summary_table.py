"""Many runs in the terminal: tables, and what was not counted."""

from collections.abc import Iterator, Sequence

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from aach_lightning.reports.collect import Collection
from aach_lightning.reports.jobs import NEVER_STARTED
from aach_lightning.reports.sheet import Sheet, interval
from aach_lightning.reports.table import DIRECTIONS, NAMES
from aach_lightning.reports.text import printable

_GAP = 2
_WAITING = 20  # jobs of a sweep that was stopped early are all alike
_ALL = -1  # budgets


def show_summary(summary: pd.DataFrame, over: Sequence[str], console: Console) -> None:
    """Print one table for each direction and block, in pieces that fit the console.

    Args:
        summary: Of `reports.summary.summarise`.
        over: Keys whose combinations are the replicates.
        console: Where to.
    """
    unit = "seeds" if tuple(over) == ("seed",) else f"values of {', '.join(over)}"
    for names, cells in summary.groupby(["direction", "block"], sort=False):
        direction, block = map(str, names)
        usual = int(cells["n"].max())
        what = f"mean ± half of the 95 % interval over n = {usual} {unit}" if usual > 1 else "n = 1, no interval"
        console.print(f"[bold]MAP, {escape(DIRECTIONS[direction])}[/], {escape(what)}", highlight=False)
        if block:
            console.print(printable(block), markup=False, highlight=False)
        for table in _tables(direction, cells, usual, console.width):
            console.print(table)
            console.print()


def _tables(direction: str, cells: pd.DataFrame, usual: int, width: int) -> Iterator[Table]:
    """A line for each budget of the attack, and for each reference over all budgets; a column for each epsilon."""
    cells = cells.assign(
        budget_pairs=cells["budget_pairs"].fillna(_ALL),
        text=[
            _text(usual, *row) for row in zip(*(cells[name] for name in ("query", "n", "mean", "high")), strict=True)
        ],
    )
    texts = cells.pivot(index=["query", "budget_pairs"], columns="epsilon", values="text").fillna("")
    budgets = sorted(cells.loc[cells["query"] == "attack", "budget_pairs"].unique())
    lines = {("attack", budget): f"M = {budget:,}" for budget in budgets}
    names = NAMES | ({"white_box": "white-box, all M"} if len(budgets) > 1 else {})  # it changes with M a little
    references = cells.loc[cells["budget_pairs"] == _ALL, "query"].unique()
    lines |= {(query, _ALL): names.get(query, query) for query in references}
    texts = texts.loc[list(lines)]
    unit = "/255" if direction == "I2T" else ""
    texts.columns = pd.Index([f"ε {epsilon:g}{unit}" for epsilon in texts.columns])
    sizes = {head: _GAP + max(len(head), texts[head].str.len().max()) for head in texts.columns}
    for part in _fitting(sizes, width - max(map(len, lines.values())) - _GAP):
        table = Table("", *part, box=SIMPLE_HEAD, padding=(0, _GAP, 0, 0), show_edge=False)
        for column in table.columns:
            column.no_wrap = True
        for (line, name), found in zip(lines.items(), texts[part].to_numpy(), strict=True):
            style = "dim" if line[0] == "chance" else None
            table.add_row(escape(name), *found, style=style, end_section=line == ("attack", max(budgets, default=_ALL)))
        yield table


def _text(usual: int, query: str, n: int, mean: float, high: float) -> str:
    if n == 0:
        return "missing"
    constant = query in ("clean", "chance") and high - mean < 1e-9  # not a question of the attacker's seed
    text = interval(mean, float("nan") if constant else high - mean).text
    return text if n == usual > 1 else f"{text} n={n}"


def _fitting(sizes: dict[str, int], width: int) -> Iterator[list[str]]:
    """Runs of columns that stand side by side, each at least one column."""
    part: list[str] = []
    for head, size in sizes.items():
        if part and sum(sizes[it] for it in part) + size > width:
            yield part
            part = []
        part.append(head)
    if part:
        yield part


def sheet_table(sheet: Sheet, names: Sequence[str]) -> Table:
    """Some columns of a table; what is equal in all rows is said once, above."""
    shown = [place for place, column in enumerate(sheet.columns) if column.name in names]
    equal = [place for place in shown if len({row[place].text for row in sheet.rows}) == 1 and len(sheet.rows) > 1]
    said = ", ".join(f"{sheet.columns[place].name} {sheet.rows[0][place].text}" for place in equal)
    table = Table(box=SIMPLE_HEAD, show_edge=False, title=Text(printable(said)), title_justify="left")
    shown = [place for place in shown if place not in equal]
    for place in shown:
        column = sheet.columns[place]
        table.add_column(column.name, justify="right" if column.number else "left", no_wrap=column.number)
    for row in sheet.rows:
        table.add_row(*(Text(printable(row[place].text)) for place in shown))
    return table


def show_gaps(found: Collection, errors: Console) -> None:
    """Say what was not counted, and why."""
    if found.repeated:
        say(f"{len(found.repeated):,} files hold a run that is counted already", errors)
    for first, other in found.contradictions:
        say(f"the same run, other numbers: {first} counts, {other} does not", errors)
    for _, reason in found.skipped:
        say(f"skipped: {reason}", errors)
    if found.missing:
        say(f"{len(found.missing):,} jobs have no result:", errors)
    waiting = [job for job in found.missing if job.reason == NEVER_STARTED]
    for job in found.missing:
        if job.reason != NEVER_STARTED or job in waiting[:_WAITING]:
            say(f"  {job}", errors)
    if len(waiting) > _WAITING:
        say(f"  and {len(waiting) - _WAITING:,} more that were never started", errors)


def say(text: str, console: Console) -> None:
    """Print a line in which nothing is markup, whoever wrote it."""
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
