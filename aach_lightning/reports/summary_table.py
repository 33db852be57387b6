"""MAP over budget and epsilon in the terminal."""

from collections.abc import Iterator, Sequence

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aach_lightning.reports.table import DIRECTIONS, NAMES
from aach_lightning.reports.text import printable

_GAP = 2
_Line = tuple[str, int | None]  # kind of query and budget; None: all budgets


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
        console.print(f"[bold]MAP, {escape(DIRECTIONS.get(direction, direction))}[/], {escape(what)}", highlight=False)
        if block:
            console.print(printable(block), markup=False, highlight=False)
        for table in _tables(direction, cells, usual, console.width):
            console.print(table)
            console.print()


def _tables(direction: str, cells: pd.DataFrame, usual: int, width: int) -> Iterator[Table]:
    budgets = sorted(int(budget) for budget in cells.loc[cells["query"] == "attack", "budget_pairs"].unique())
    lines: dict[_Line, str] = {("attack", budget): f"M = {budget:,}" for budget in budgets}
    references = cells.loc[cells["budget_pairs"].isna(), "query"].unique()
    names = NAMES | ({"white_box": "white-box, all M"} if len(budgets) > 1 else {})  # it changes with M a little
    lines |= {(query, None): names.get(query, query) for query in references}
    texts: dict[tuple[_Line, float], str] = {}
    columns = ("query", "budget_pairs", "epsilon", "n", "mean", "high")
    for query, budget, epsilon, n, mean, high in zip(*(cells[name] for name in columns), strict=True):
        line = (query, None if pd.isna(budget) else int(budget))
        texts[line, epsilon] = _text(query, n, mean, high - mean, usual)
    label = max(map(len, lines.values())) + _GAP
    heads = {epsilon: _bound(direction, epsilon) for epsilon in sorted(cells["epsilon"].unique())}
    sizes = {
        epsilon: _GAP + max(len(head), *(len(texts.get((line, epsilon), "")) for line in lines))
        for epsilon, head in heads.items()
    }
    for part in _fitting(sizes, width - label):
        table = Table(box=SIMPLE_HEAD, padding=(0, _GAP, 0, 0), show_edge=False)
        for head in ("", *(heads[epsilon] for epsilon in part)):
            table.add_column(head, no_wrap=True)
        for line, name in lines.items():
            found = [texts.get((line, epsilon), "") for epsilon in part]
            last = budgets and line == ("attack", budgets[-1])
            table.add_row(escape(name), *found, style="dim" if line[0] == "chance" else None, end_section=bool(last))
        yield table


def _bound(direction: str, epsilon: float) -> str:
    return f"ε {epsilon:g}/255" if direction.startswith("I") else f"ε {epsilon:g}"


def _text(query: str, n: int, mean: float, half: float, usual: int) -> str:
    if n == 0:
        return "missing"
    constant = query in ("clean", "chance") and half < 1e-9  # not a question of the attacker's seed
    text = f"{mean:.3f}" if n == 1 or constant else f"{mean:.3f} ±{half:.3f}"
    return text if n == usual > 1 else f"{text} n={n}"


def _fitting(sizes: dict[float, int], width: int) -> Iterator[list[float]]:
    """Runs of columns that stand side by side, each at least one column."""
    part: list[float] = []
    used = 0
    for epsilon, size in sizes.items():
        if part and used + size > width:
            yield part
            part, used = [], 0
        part.append(epsilon)
        used += size
    if part:
        yield part
