"""The command line of data: python -m aach_lightning.data check DIR|FILE, ... download mirflickr25k|mscoco."""

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from aach_lightning.errors import AachError
from aach_lightning.readers.archives import unpack
from aach_lightning.readers.check import Check, check, relevance_between
from aach_lightning.readers.contact_sheet import contact_sheet
from aach_lightning.readers.download import fetch
from aach_lightning.readers.kinds import KINDS, data_line
from aach_lightning.readers.sources import SOURCES, Source

_SHOWN = 10


def command_line() -> argparse.ArgumentParser:
    """What the two commands take."""
    parser = argparse.ArgumentParser(prog="python -m aach_lightning.data", description="Image-text data sets.")
    commands = parser.add_subparsers(dest="command", required=True)
    looking = commands.add_parser("check", help="say what a file or folder of data holds, and what is wrong with it")
    looking.add_argument("path", type=Path, help="file or folder")
    looking.add_argument("--image-size", type=int, default=224, help="height and width to decode to (default: 224)")
    cache = os.environ.get("AACH_CACHE", "outputs/cache")
    looking.add_argument("--cache", type=Path, default=Path(cache), help=f"decoded images (default: {cache})")
    sheet = Path("contact_sheet.png")
    looking.add_argument("--sheet", type=Path, default=sheet, help=f"picture of some pairs (default: {sheet})")
    fetching = commands.add_parser("download", help="fetch the official archives of a data set and unpack them")
    fetching.add_argument("name", choices=sorted(SOURCES))
    fetching.add_argument("--to", type=Path, help="folder (default: data/NAME)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if all went well, 1 after an error that was explained."""
    parser = command_line()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    console = Console()
    try:
        if options.command == "check":
            if options.image_size < 1:
                parser.error(f"--image-size={options.image_size}: must be at least 1 pixel")
            found = check(options.path, options.image_size, options.cache)
            contact_sheet(found.pairs, options.sheet)
            _show(found, options.sheet, console)
        else:
            _download(options.name, options.to or Path("data", options.name), console)
    except AachError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted: the same command goes on from here")
        return 130
    return 0


def _show(found: Check, sheet: Path, console: Console) -> None:
    pairs = found.pairs
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    low, high = found.text_range
    repeated = sum(len(rows) - 1 for rows in found.duplicates)
    for name, value in (
        ("what", f"{found.kind.title}: {pairs.name}"),
        ("pairs", f"{len(pairs):,}"),
        ("text", f"{pairs.texts.shape[1]:,} entries in [{low:g}, {high:g}]; {found.textless:,} pairs without any"),
        ("labels", f"{len(pairs.label_names):,}; {found.unlabelled:,} pairs without any"),
        ("relevance rate", f"{found.relevance_rate:.4f}, about the MAP of chance"),
        ("damaged images", f"{pairs.skipped:,}"),
        ("repeated images", f"{repeated:,} in {len(found.duplicates):,} groups"),
        ("contact sheet", str(sheet)),
    ):
        facts.add_row(name, escape(value))
    console.print(facts)
    frequencies = Table("label", "pairs", "share", box=None, padding=(0, 2, 0, 0))
    for column in found.label_counts.argsort(kind="stable")[::-1]:
        number = int(found.label_counts[column])
        frequencies.add_row(escape(pairs.label_names[column]), f"{number:,}", f"{number / len(pairs):.1%}")
    console.print(frequencies)
    _show_protocols(found, console)
    if found.damage:
        console.print(escape(found.damage), style="red", soft_wrap=True)
    for rows in found.duplicates[:_SHOWN]:
        names = ", ".join(pairs.names[row] for row in rows[:_SHOWN])
        console.print(escape(f"equal images: {names}" + (", ..." if len(rows) > _SHOWN else "")), soft_wrap=True)
    if len(found.duplicates) > _SHOWN:
        console.print(f"and {len(found.duplicates) - _SHOWN:,} more groups of equal images")
    if pairs.note:
        console.print(escape(pairs.note), soft_wrap=True)
    console.print(f"to use it: [bold]{escape(found.line)}[/]", soft_wrap=True)


def _show_protocols(found: Check, console: Console) -> None:
    table = Table("split", "query", "train", "database", "chance", box=None, padding=(0, 2, 0, 0))
    for fit in found.protocols:
        if fit.split is not None:
            parts = (fit.split.query, fit.split.train, fit.split.database)
            chance = relevance_between(found.pairs.labels[parts[0]], found.pairs.labels[parts[2]])
            table.add_row(escape(fit.overrides), *(f"{len(part):,}" for part in parts), f"{chance:.4f}")
    if table.row_count:
        console.print(table)
    for fit in found.protocols:
        if fit.remark:
            fits = "" if fit.split is not None else "does not fit: "
            console.print(escape(f"protocol {fit.name} {fits}{fit.remark}"), soft_wrap=True)


def _download(name: str, to: Path, console: Console) -> None:
    for source in SOURCES[name]:
        folder, archive = to / source.folder, to / source.file_name
        if folder.exists():
            console.print(escape(f"{folder} is already there"), soft_wrap=True)
            continue
        own = _fetch(source, archive, console)
        proof = (
            f"{source.checksum.algorithm} of {source.checksum.origin}"
            if source.checksum
            else "its length and the CRCs inside"
        )
        console.print(escape(f"{archive}: checked by {proof}; SHA-256 {own}"), soft_wrap=True)
        files = unpack(archive, folder)
        archive.unlink()
        Path(f"{archive}.lock").unlink(missing_ok=True)
        console.print(escape(f"{folder}: {files:,} files"), soft_wrap=True)
    kind = next(kind for kind in KINDS if kind.option == name)
    console.print(f"to use it: [bold]{escape(data_line(kind, to.absolute(), 224, damaged=False))}[/]", soft_wrap=True)


def _fetch(source: Source, archive: Path, console: Console) -> str:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task(source.file_name, total=source.size)
        return fetch(source, archive, lambda have, whole: progress.update(task, completed=have, total=whole))
