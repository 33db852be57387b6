"""Reports on many runs: python -m aach_lightning.reports collect DIR, build DIR, leaderboard DIR, verify CARD."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import track

from aach_lightning.errors import AachError, DataError, StoreError
from aach_lightning.reports.build import build
from aach_lightning.reports.card_commands import add_card_commands, run_leaderboard, run_verify
from aach_lightning.reports.collect import Collection, collect
from aach_lightning.reports.curves import MOST_BLOCKS, save_curves
from aach_lightning.reports.export import write_csv, write_parquet
from aach_lightning.reports.frame import COLUMNS
from aach_lightning.reports.jobs import NEVER_STARTED
from aach_lightning.reports.summary import block_keys, replicate_keys, summarise
from aach_lightning.reports.summary_table import show_summary
from aach_lightning.reports.text import printable

FAILED, INCOMPLETE, INTERRUPTED = 1, 3, 130
_WAITING = 20  # jobs of a sweep that was stopped early are all alike
_MANY = 200  # files from which reading them takes a second

_EPILOG = f"""
DIR is a sweep's folder (outputs/sweeps/NAME), a folder of runs, an artifact
store, or a folder above any of them. A run found twice counts once. Jobs that
left no result are listed.

files written:
  results.csv      one row for each run, direction and kind of query
  results.parquet  the same, with types (needs pyarrow: the extra "parquet")
  summary.csv      MAP over budget M and epsilon: mean, low and high end of the
                   95 % interval (Student's t), number n of seeds; rows without
                   budget_pairs: all budgets, averaged within each seed first
  curves.png       the same as curves with interval bands; curves.svg too

columns of results.csv:
{chr(10).join(f"  {name:20} {meaning}" for name, (_, meaning) in COLUMNS.items())}
  {"seconds.<stage>":20} of each stage
  {"config.<key>":20} every configuration key that varies between the runs

exit status: 0; {FAILED} after an error; {INCOMPLETE} when a file named result.json could not be
read and everything else was written. Jobs without a result change no status:
they may still run.
"""


_PAGE_EPILOG = f"""
DIR holds runs, sweeps (outputs/sweeps/NAME) or benchmarks (outputs/benchmark),
at any depth. A run, and a card of the same run, count once. What is missing is
shown as missing. The same files give the same page.

files written:
  index.html     the page: one file that loads nothing, for light and dark, for
                 a phone too; tables are sorted by clicking a header
  tables/*       the tables as Markdown, LaTeX (booktabs) and CSV; cells.csv has
                 the numbers behind tables and figures with all digits
  figures/*      the figures as SVG and PNG

exit status: 0; {FAILED} after an error; {INCOMPLETE} when a result, a card, curves or a gallery
could not be read and everything else was written.
"""


def command_line() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(prog="python -m aach_lightning.reports", description="Reports on many runs.")
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser(
        "collect",
        help="gather a sweep into one table, with means and intervals over seeds",
        description="Gather every result.json below DIR into tables and curves.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    building = commands.add_parser(
        "build",
        help="make a page of runs, sweeps and benchmarks, with tables and figures for a paper",
        description="Make one self-contained page of everything below DIR.",
        epilog=_PAGE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_card_commands(commands)
    for command, default in ((collecting, "DIR"), (building, "DIR/report")):
        command.add_argument("folder", metavar="DIR", type=Path, help="where the runs are")
        command.add_argument("--to", type=Path, metavar="FOLDER", help=f"where the files go (default: {default})")
        command.add_argument(
            "--over",
            default="seed",
            metavar="KEYS",
            help="configuration keys whose combinations are the replicates, such as seed,target.seed (default: seed); "
            "everything else that varies gets tables of its own",
        )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status, see `--help`."""
    options = command_line().parse_args(arguments)
    console, errors = Console(), Console(stderr=True)
    try:
        if options.command == "verify":
            return run_verify(options, console)
        if options.command == "leaderboard":
            return run_leaderboard(options, console, errors)
        if options.command == "build":
            return _build(options.folder, options.to or options.folder / "report", options.over, console, errors)
        return _collect(options.folder, options.to or options.folder, options.over, console, errors)
    except StoreError as error:
        _explain(f"{error} Here this is --to.", errors)
    except AachError as error:
        _explain(str(error), errors)
    except KeyboardInterrupt:
        errors.print("interrupted")
        return INTERRUPTED
    return FAILED


def _explain(message: str, errors: Console) -> None:
    errors.print(f"[bold red]error:[/] {escape(printable(message))}", soft_wrap=True, highlight=False)


def _check_destination(to: Path) -> None:
    if to.exists() and not to.is_dir():
        raise DataError(f"--to={to}: must be a folder, this is a file")


def _bar(errors: Console) -> Callable[[list[Path]], Iterator[Path]]:
    def progress(files: Sequence[Path]) -> Iterator[Path]:
        quiet = len(files) < _MANY or not errors.is_terminal
        yield from track(files, "reading results", console=errors, transient=True, disable=quiet)

    return progress


def _build(folder: Path, to: Path, over: str, console: Console, errors: Console) -> int:
    _check_destination(to)
    with errors.status("drawing the page") if errors.is_terminal else nullcontext():
        report = build(folder, to, over, _bar(errors))
    _show_gaps(report.found, errors)
    for _, reason in report.skipped[len(report.found.skipped) :]:
        errors.print(printable(f"skipped: {reason}"), markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(report.found.configs):,} runs, {len(report.cards):,} benchmark cards", highlight=False)
    for name, path in (("tables", to / "tables"), ("figures", to / "figures"), ("page", report.page)):
        console.print(f"{name + ':':8} {printable(str(path))}", markup=False, soft_wrap=True, highlight=False)
    return INCOMPLETE if report.skipped else 0


def _collect(folder: Path, to: Path, over_text: str, console: Console, errors: Console) -> int:
    if to != folder:
        _check_destination(to)
    found = collect(folder, _bar(errors))
    _show_gaps(found, errors)
    if found.frame.empty:
        raise DataError(
            f"there is no result below {folder}: attack.py writes {folder / '...' / 'result.json'} once it has ended"
        )
    over = replicate_keys(over_text, found.configs)
    summary = summarise(found.frame, over)
    csv, parquet, short = (to / name for name in ("results.csv", "results.parquet", "summary.csv"))
    pictures = (to / "curves.png", to / "curves.svg")
    write_csv(found.frame, csv)
    written = write_parquet(found.frame, parquet)
    write_csv(summary, short)
    save_curves(summary, _title(found), pictures)
    console.print(f"{_title(found)}\n", highlight=False, markup=False)
    show_summary(summary, over, console)
    _hint(block_keys(found.frame, over), over, console)
    if (blocks := summary["block"].nunique()) > MOST_BLOCKS:
        console.print(f"the picture shows the first {MOST_BLOCKS} of {blocks} combinations", highlight=False)
    if not written:
        console.print("no results.parquet: it needs pyarrow, pip install 'aach-lightning[parquet]'", markup=False)
    for name, paths in (
        ("results", (csv, *(parquet,) * written)),
        ("summary", (short,)),
        ("picture", pictures),
    ):
        console.print(f"{name}: {printable(', '.join(map(str, paths)))}", markup=False, soft_wrap=True, highlight=False)
    return INCOMPLETE if found.skipped else 0


def _title(found: Collection) -> str:
    frame = found.frame
    names = printable(", ".join(frame["data"].unique()))
    seeds = frame["seed"].nunique()
    lengths = ", ".join(str(length) for length in sorted(frame["code_length"].dropna().unique()))
    return f"{names}: {len(found.configs):,} runs, {seeds:,} seeds, {lengths} bits"


def _show_gaps(found: Collection, errors: Console) -> None:
    """Say what was not counted, and why."""

    def say(text: str) -> None:
        errors.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    if found.repeated:
        say(f"{len(found.repeated):,} files hold a run that is counted already")
    for first, other in found.contradictions:
        say(f"the same run, other numbers: {first} counts, {other} does not")
    for _, reason in found.skipped:
        say(f"skipped: {reason}")
    if found.missing:
        say(f"{len(found.missing):,} jobs have no result:")
    waiting = 0
    for job in found.missing:
        waiting += job.reason == NEVER_STARTED
        if job.reason != NEVER_STARTED or waiting <= _WAITING:
            say(f"  {job.folder}  {' '.join(job.overrides)}  {job.reason}")
    if waiting > _WAITING:
        say(f"  and {waiting - _WAITING:,} more that were never started")


def _hint(keys: Sequence[str], over: Sequence[str], console: Console) -> None:
    seeds = [key.removeprefix("config.") for key in keys if key.endswith(".seed")]
    if seeds:
        console.print(
            f"{', '.join(seeds)} varies too: --over {','.join([*over, *seeds])} takes the combinations as replicates\n",
            highlight=False,
            markup=False,
        )


if __name__ == "__main__":
    sys.exit(main())
