"""A result as a table in the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aach_lightning.evaluation.result import Result, Row
from aach_lightning.reports.frame import flatten
from aach_lightning.reports.naming import defences
from aach_lightning.reports.sheet import cell

NAMES = {"clean": "clean", "noise": "random noise", "white_box": "white-box bound"}
DIRECTIONS = {"I2T": "image→text", "T2I": "text→image"}
_NUMBERS = {  # header: field of a row and its format
    "MAP": ("map", ".3f"),
    "drop": ("drop", "+.3f"),
    "of bound": ("share_of_white_box", ".0%"),
    "bits": ("distance", ".1f"),
    "RMS": ("rms", ".3f"),
    "PSNR": ("psnr", ".1f"),
    "SSIM": ("ssim", ".2f"),
}


def result_table(result: Result) -> Table:
    """Lay out the rows of a result; drops are against the clean queries of the same direction.

    M is the number of pairs that the attacker has paid for, with the codes of attacked items that it asked for after a
    plus sign; a search pays for these alone. Where the terminal is narrow, names are wrapped and numbers never cut.
    """
    data, config = result.data, result.config
    table = Table(
        title=escape(
            f"{data['name']}: {data['attacked']} queries, {data['database']:,} searched, "
            f"{config['target']['name'].upper()} {config['target']['code_length']} bits, seed {result.seed}"
            f"{_defences(config)}"
        ),
        caption=escape(data["note"]) or None,
        box=SIMPLE_HEAD,
        padding=0,
        show_edge=False,
    )
    table.add_column("query", overflow="fold")
    for column in (*_NUMBERS, "needs"):
        table.add_column(column, justify="right", no_wrap=True)
    for direction, label in DIRECTIONS.items():
        rows = [row for row in result.rows if row.direction == direction]
        if not rows:
            continue
        epsilon = max(row.epsilon for row in rows)
        bound = f"ε {epsilon * 255:.3g}/255" if direction == "I2T" else f"ε {epsilon:.3g}"
        if any(row.words is not None for row in rows):
            bound = f"{epsilon:.0f} word{'' if epsilon == 1 else 's'}"
        table.add_row(f"[bold]{label}, {bound}[/]", *[""] * (len(_NUMBERS) + 1))
        for row in rows:
            table.add_row(f"  {NAMES.get(row.query) or escape(_paid(config['attack']['name'], row))}", *_cells(row))
        chance = f"{result.chance[direction]:.3f}"
        table.add_row("  chance", chance, *[""] * len(_NUMBERS), style="dim", end_section=True)
    return table


def _defences(config: Mapping[str, Any]) -> str:
    """A second line of the title: what was done to the target beyond training it; empty for nothing."""
    said = defences(flatten(config))
    if said and said[-1].startswith("behind "):
        known = "known" if config["attack"].get("knows_defence") else "unknown"
        said.append(f"{known} to attackers")
    return f"\n{', '.join(said)}" if said else ""


def _cells(row: Row) -> list[str]:
    if row.query == "clean":
        return [f"{row.map:.3f}", *[""] * len(_NUMBERS)]
    numbers = [cell(getattr(row, name), form).text for name, form in _NUMBERS.values()]
    return [*numbers, row.needs + (", labels" if row.labels else "")]


def _paid(attack: str, row: Row) -> str:
    if row.needs == "weights":
        return attack.upper()
    if row.items_queried and not row.pairs_queried:
        return f"{attack.upper()}, {row.items_queried:,} queries"
    return f"{attack.upper()}, M = {row.pairs_queried}" + (f" + {row.items_queried}" if row.items_queried else "")


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A small table whose first column names the rows."""
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False)
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def targeted_table(result: Result) -> Table:
    """MAP where relevant is what the attacker wants to be found: the higher, the better for the attacker."""
    directions = [direction for direction in DIRECTIONS if f"{direction}_targeted" in result.chance]
    found: dict[tuple[str, str], float | None] = {(row.direction, row.query): row.targeted_map for row in result.rows}
    names = {row.query: NAMES.get(row.query, result.config["attack"]["name"].upper()) for row in result.rows}
    rows = [
        [name, *(cell(found.get((direction, query)), ".3f").text for direction in directions)]
        for query, name in names.items()
    ]
    rows.append(["chance", *(f"{result.chance[f'{direction}_targeted']:.3f}" for direction in directions)])
    return _table("targeted MAP", ["query", *(DIRECTIONS[direction] for direction in directions)], rows)


def stage_table(result: Result) -> Table:
    """Seconds and peak memory of each stage."""
    rows = [
        (name, f"{cost['seconds']:.1f}", f"{cost['peak_memory_mib']:,.0f} MiB") for name, cost in result.stages.items()
    ]
    return _table("cost", ("stage", "seconds", "peak memory"), rows)


def show_report(stage: str, report: Mapping[str, Any], folder: Path, console: Console) -> None:
    """Print what a trained stage says of itself, and where it lies."""
    said = {name.replace(".", " ").replace("_", " "): value for name, value in flatten(report).items()}
    rows = [(name, f"{value:.3f}" if isinstance(value, float) else str(value)) for name, value in said.items()]
    console.print(_table(stage, ("measure", "value"), rows))
    console.print(f"{stage}: {folder}", markup=False, soft_wrap=True)


def show(result: Result, console: Console) -> None:
    """Print both tables, and what the attacker learned of the target."""
    console.print(result_table(result))
    console.print()
    if any(row.targeted_map is not None for row in result.rows):
        console.print(targeted_table(result))
        console.print()
    console.print(stage_table(result))
    if result.surrogate:
        agreement = result.surrogate
        console.print(
            f"surrogate on {agreement['held_out_pairs']:.0f} pairs never queried: equal bits "
            f"{agreement['bit_agreement_image']:.3f} (images) {agreement['bit_agreement_text']:.3f} (texts), Spearman "
            f"of distances {agreement['distance_spearman']:.3f}, own MAP {agreement['map_i2t']:.3f} / "
            f"{agreement['map_t2i']:.3f} (target {agreement['target_map_i2t']:.3f} / {agreement['target_map_t2i']:.3f})"
        )
