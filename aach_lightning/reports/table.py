"""A result as a table in the terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aach_lightning.evaluation.result import Result, Row
from aach_lightning.reports.frame import flatten
from aach_lightning.reports.naming import defences

NAMES = {"clean": "clean", "noise": "random noise", "white_box": "white-box bound"}
DIRECTIONS = {"I2T": "image→text", "T2I": "text→image"}
_NUMBERS = ("MAP", "drop", "of bound", "bits", "RMS", "PSNR", "SSIM", "needs")


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
    for column in _NUMBERS:
        table.add_column(column, justify="right", no_wrap=True)
    for direction, label in DIRECTIONS.items():
        rows = [row for row in result.rows if row.direction == direction]
        if not rows:
            continue
        epsilon = max(row.epsilon for row in rows)
        bound = f"ε {epsilon * 255:.3g}/255" if direction == "I2T" else f"ε {epsilon:.3g}"
        if any(row.words is not None for row in rows):
            bound = f"{epsilon:.0f} word{'' if epsilon == 1 else 's'}"
        table.add_row(f"[bold]{label}, {bound}[/]", *[""] * len(_NUMBERS))
        for row in rows:
            table.add_row(f"  {NAMES.get(row.query) or escape(_paid(config['attack']['name'], row))}", *_cells(row))
        chance = f"{result.chance[direction]:.3f}"
        table.add_row("  chance", chance, *[""] * (len(_NUMBERS) - 1), style="dim", end_section=True)
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
        return [f"{row.map:.3f}", *[""] * (len(_NUMBERS) - 1)]
    share = "" if row.share_of_white_box is None else f"{row.share_of_white_box:.0%}"
    return [
        f"{row.map:.3f}",
        f"{row.drop:+.3f}",
        share,
        f"{row.distance:.1f}",
        f"{row.rms:.3f}",
        "" if row.psnr is None else f"{row.psnr:.1f}",
        "" if row.ssim is None else f"{row.ssim:.2f}",
        row.needs + (", labels" if row.labels else ""),
    ]


def _paid(attack: str, row: Row) -> str:
    if row.needs == "weights":
        return attack.upper()
    if row.items_queried and not row.pairs_queried:
        return f"{attack.upper()}, {row.items_queried:,} queries"
    return f"{attack.upper()}, M = {row.pairs_queried}" + (f" + {row.items_queried}" if row.items_queried else "")


def targeted_table(result: Result) -> Table:
    """MAP where relevant is what the attacker wants to be found: the higher, the better for the attacker."""
    table = Table(title="targeted MAP", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("query")
    directions = [direction for direction in DIRECTIONS if f"{direction}_targeted" in result.chance]
    for direction in directions:
        table.add_column(DIRECTIONS[direction], justify="right")
    found: dict[tuple[str, str], float | None] = {(row.direction, row.query): row.targeted_map for row in result.rows}
    for query in dict.fromkeys(row.query for row in result.rows):
        values = [found.get((direction, query)) for direction in directions]
        name = NAMES.get(query) or result.config["attack"]["name"].upper()
        table.add_row(escape(name), *("" if value is None else f"{value:.3f}" for value in values))
    table.add_row("chance", *(f"{result.chance[f'{direction}_targeted']:.3f}" for direction in directions), style="dim")
    return table


def stage_table(result: Result) -> Table:
    """Seconds and peak memory of each stage."""
    table = Table(title="cost", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage")
    for column in ("seconds", "peak memory"):
        table.add_column(column, justify="right")
    for name, cost in result.stages.items():
        table.add_row(name, f"{cost['seconds']:.1f}", f"{cost['peak_memory_mib']:,.0f} MiB")
    return table


def show_report(stage: str, report: Mapping[str, Any], folder: Path, console: Console) -> None:
    """Print what a trained stage says of itself, and where it lies."""
    table = Table(title=stage)
    table.add_column("measure")
    table.add_column("value", justify="right")
    for name, value in report.items():
        for part, number in value.items() if isinstance(value, Mapping) else [("", value)]:
            text = f"{number:.3f}" if isinstance(number, float) else escape(str(number))
            table.add_row(f"{name} {part}".strip().replace("_", " "), text)
    console.print(table)
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
