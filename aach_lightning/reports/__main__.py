"""Reports on many runs: python -m aach_lightning.reports collect DIR, build DIR, leaderboard DIR, verify CARD."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console
from rich.progress import track

from aach_lightning.errors import AachError, DataError, StoreError
from aach_lightning.reports.build import build
from aach_lightning.reports.collect import Collection, Progress, collect
from aach_lightning.reports.curves import MOST_BLOCKS, draw_curves
from aach_lightning.reports.export import write_csv, write_parquet
from aach_lightning.reports.figure import save_figure
from aach_lightning.reports.frame import COLUMNS
from aach_lightning.reports.leaderboard import (
    IN_TERMINAL,
    ORDERS,
    card_files,
    leaderboard_sheet,
    make_leaderboard,
    save_leaderboard,
)
from aach_lightning.reports.naming import block_keys, replicate_keys
from aach_lightning.reports.summary import summarise
from aach_lightning.reports.summary_table import say, sheet_table, show_gaps, show_summary
from aach_lightning.reports.text import printable
from aach_lightning.reports.verify import verify

FAILED, INCOMPLETE, REFUTED, INTERRUPTED = 1, 3, 4, 130
_MANY = 200  # files from which reading them takes a second

_COLLECT = f"""
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
_BUILD = f"""
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
_BOARD = f"""
A card stays out, with the reason, if it cannot be read, if it spent more
queries than its budget, changed an entry by more than its epsilon after
rounding to 8 bits, or was measured on another split than the others.

files written:
  leaderboard.html  a page that loads nothing; click a header to sort
  leaderboard.md, .tex (booktabs), .csv

exit status: 0; {INCOMPLETE} when a card stays out.
"""
_VERIFY = f"""
The benchmark saves what is needed with evaluation.save_adversarial=true. The
target is found in the store, or trained again. Of a card, which may be
anybody's, numbers and names that this version lists are taken; OVERRIDES come
after them, such as data.root=DIR or paths.store=DIR: where files lie, no card
says.

exit status: 0 when the card holds; {REFUTED} when it does not.
"""


def command_line() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(prog="python -m aach_lightning.reports", description="Reports on many runs.")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(
        run: Callable[..., int], name: str, short: str, description: str, epilog: str
    ) -> argparse.ArgumentParser:
        form = argparse.RawDescriptionHelpFormatter
        added = commands.add_parser(name, help=short, description=description, epilog=epilog, formatter_class=form)
        added.set_defaults(run=run)
        return added

    short = "gather a sweep into one table, with means and intervals over seeds"
    collecting = command(
        _collect, "collect", short, "Gather every result.json below DIR into tables and curves.", _COLLECT
    )
    short = "make a page of runs, sweeps and benchmarks, with tables and figures for a paper"
    building = command(_build, "build", short, "Make one self-contained page of everything below DIR.", _BUILD)
    for added, default in ((collecting, "DIR"), (building, "DIR/report")):
        added.add_argument("folder", metavar="DIR", type=Path, help="where the runs are")
        added.add_argument("--to", type=Path, metavar="FOLDER", help=f"where the files go (default: {default})")
        added.add_argument(
            "--over",
            default="seed",
            metavar="KEYS",
            help="configuration keys whose combinations are the replicates, such as seed,target.seed (default: seed); "
            "everything else that varies gets tables of its own",
        )
    described = "One table over targets, data sets and defences, from the cards of benchmarks."
    board = command(_leaderboard, "leaderboard", "gather cards of many benchmarks into one table", described, _BOARD)
    board.add_argument("places", metavar="PLACE", type=Path, nargs="+", help="cards, or folders of benchmarks")
    board.add_argument("--to", type=Path, default=Path("outputs/leaderboard"), metavar="FOLDER", help="where files go")
    board.add_argument("--sort", choices=ORDERS, default="map", help="within equal data and target (default: map)")
    board.add_argument("--split", metavar="HASH", help="the split that counts (default: the most frequent one)")
    described = "Show the saved adversarial queries of a card to its target, and compare MAP and bounds."
    check = command(_verify, "verify", "measure a card again on its saved adversarial queries", described, _VERIFY)
    check.add_argument("card", metavar="CARD", type=Path, help="a JSON file of a benchmark's folder cards")
    check.add_argument("--adversarial", type=Path, metavar="FOLDER", help="its queries (default: beside the card)")
    check.add_argument("--tolerance", type=float, default=1e-3, help="largest difference of MAP (default: 0.001)")
    check.add_argument("overrides", metavar="OVERRIDES", nargs="*", help="as attack.py takes them")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status, see `--help`."""
    options = command_line().parse_args(arguments)
    console, errors = Console(), Console(stderr=True)
    try:
        return int(options.run(options, console, errors))
    except AachError as error:
        hint = " Here this is --to." if isinstance(error, StoreError) else ""
        errors.print("[bold red]error:[/] ", end="")
        say(f"{error}{hint}", errors)
    except KeyboardInterrupt:
        errors.print("interrupted")
        return INTERRUPTED
    return FAILED


def _destination(options: argparse.Namespace, default: Path) -> Path:
    to: Path = options.to or default
    if to.exists() and not to.is_dir() and options.to:
        raise DataError(f"--to={to}: must be a folder, this is a file")
    return to


def _bar(errors: Console) -> Progress:
    def progress(files: Sequence[Path]) -> Iterator[Path]:
        quiet = len(files) < _MANY or not errors.is_terminal
        yield from track(files, "reading results", console=errors, transient=True, disable=quiet)

    return progress


def _build(options: argparse.Namespace, console: Console, errors: Console) -> int:
    to = _destination(options, options.folder / "report")
    with errors.status("drawing the page") if errors.is_terminal else nullcontext():
        report = build(options.folder, to, options.over, _bar(errors))
    show_gaps(report.found, errors)
    for _, reason in report.skipped:
        say(f"skipped: {reason}", errors)
    say(f"{len(report.found.configs):,} runs, {len(report.cards):,} benchmark cards", console)
    for name, path in (("tables", to / "tables"), ("figures", to / "figures"), ("page", report.page)):
        say(f"{name + ':':8} {path}", console)
    return INCOMPLETE if report.found.skipped or report.skipped else 0


def _collect(options: argparse.Namespace, console: Console, errors: Console) -> int:
    to = _destination(options, options.folder)
    found = collect(options.folder, _bar(errors))
    show_gaps(found, errors)
    if found.frame.empty:
        raise DataError(
            f"there is no result below {options.folder}: attack.py writes {options.folder / '...' / 'result.json'} "
            "once it has ended"
        )
    over = replicate_keys(options.over, found.configs)
    summary = summarise(found.frame, over)
    csv, parquet, short = (to / name for name in ("results.csv", "results.parquet", "summary.csv"))
    pictures = (to / "curves.png", to / "curves.svg")
    write_csv(found.frame, csv)
    written = write_parquet(found.frame, parquet)
    write_csv(summary, short)
    title = _title(found)
    figure = draw_curves(summary, title)
    for path in pictures:
        save_figure(figure, path)
    say(title, console)
    console.print()
    show_summary(summary, over, console)
    keys = [key.removeprefix("config.") for key in block_keys(found.frame, over)]
    if seeds := [key for key in keys if key.endswith(".seed")]:
        replicates = ",".join([*over, *seeds])
        said = f"{', '.join(seeds)} varies too: --over {replicates} takes the combinations as replicates\n"
        console.print(said, highlight=False, markup=False)
    if (blocks := summary["block"].nunique()) > MOST_BLOCKS:
        say(f"the picture shows the first {MOST_BLOCKS} of {blocks} combinations", console)
    if not written:
        say("no results.parquet: it needs pyarrow, pip install 'aach-lightning[parquet]'", console)
    for name, paths in (("results", (csv, *(parquet,) * written)), ("summary", (short,)), ("picture", pictures)):
        say(f"{name}: {', '.join(map(str, paths))}", console)
    return INCOMPLETE if found.skipped else 0


def _title(found: Collection) -> str:
    frame = found.frame
    lengths = ", ".join(str(length) for length in sorted(frame["code_length"].dropna().unique()))
    names = printable(", ".join(frame["data"].unique()))
    return f"{names}: {len(found.configs):,} runs, {frame['seed'].nunique():,} seeds, {lengths} bits"


def _leaderboard(options: argparse.Namespace, console: Console, errors: Console) -> int:
    board = make_leaderboard(card_files(options.places), options.sort, options.split)
    page = save_leaderboard(board, options.to)
    console.print(sheet_table(leaderboard_sheet(board), IN_TERMINAL))
    for path, reason in board.rejected:
        say(f"rejected: {path}: {reason}", errors)
    say(f"page: {page}", console)
    return INCOMPLETE if board.rejected else 0


def _verify(options: argparse.Namespace, console: Console, errors: Console) -> int:
    outcome = verify(options.card, options.adversarial, options.overrides, options.tolerance)
    if outcome.found is not None:
        say(f"MAP on the card {outcome.claimed:.4f}, measured again {outcome.found:.4f}", console)
    for reason in outcome.reasons:
        say(f"does not hold: {reason}", console)
    say(f"{'refuted' if outcome.reasons else 'verified'}: {options.card}", console)
    return REFUTED if outcome.reasons else 0


if __name__ == "__main__":
    sys.exit(main())
