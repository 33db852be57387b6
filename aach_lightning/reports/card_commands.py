"""The commands on cards: leaderboard and verify."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from aach_lightning.reports.board import save_leaderboard, terminal_table
from aach_lightning.reports.leaderboard import ORDERS, card_files, make_leaderboard
from aach_lightning.reports.text import printable
from aach_lightning.reports.verify import verify

INCOMPLETE, REFUTED = 3, 4

_BOARD_EPILOG = f"""
A card stays out, with the reason, if it cannot be read, if it spent more
queries than its budget, changed an entry by more than its epsilon after
rounding to 8 bits, or was measured on another split than the others.

files written:
  leaderboard.html  a page that loads nothing; click a header to sort
  leaderboard.md, .tex (booktabs), .csv

exit status: 0; {INCOMPLETE} when a card stays out.
"""
_VERIFY_EPILOG = f"""
The benchmark saves what is needed with evaluation.save_adversarial=true. The
target is found in the store, or trained again; OVERRIDES come after those of
the card, such as data.root=DIR where the data lie elsewhere.

exit status: 0 when the card holds; {REFUTED} when it does not.
"""


def add_card_commands(commands: Any) -> None:
    """Say what can be asked for."""
    form = argparse.RawDescriptionHelpFormatter
    board = commands.add_parser(
        "leaderboard",
        help="gather cards of many benchmarks into one table",
        description="One table over targets, data sets and defences, from the cards of benchmarks.",
        epilog=_BOARD_EPILOG,
        formatter_class=form,
    )
    board.add_argument("places", metavar="PLACE", type=Path, nargs="+", help="cards, or folders of benchmarks")
    board.add_argument("--to", type=Path, default=Path("outputs/leaderboard"), metavar="FOLDER", help="where files go")
    board.add_argument("--sort", choices=ORDERS, default="map", help="within equal data and target (default: map)")
    board.add_argument("--split", metavar="HASH", help="the split that counts (default: the most frequent one)")
    check = commands.add_parser(
        "verify",
        help="measure a card again on its saved adversarial queries",
        description="Show the saved adversarial queries of a card to its target, and compare MAP and bounds.",
        epilog=_VERIFY_EPILOG,
        formatter_class=form,
    )
    check.add_argument("card", metavar="CARD", type=Path, help="a JSON file of a benchmark's folder cards")
    check.add_argument("--adversarial", type=Path, metavar="FOLDER", help="its queries (default: beside the card)")
    check.add_argument("--tolerance", type=float, default=1e-3, help="largest difference of MAP (default: 0.001)")
    check.add_argument("overrides", metavar="OVERRIDES", nargs="*", help="as attack.py takes them")


def run_leaderboard(options: argparse.Namespace, console: Console, errors: Console) -> int:
    """Write the table; the exit status."""
    board = make_leaderboard(card_files(options.places), options.sort, options.split)
    page = save_leaderboard(board, options.to)
    console.print(terminal_table(board))
    for path, reason in board.rejected:
        errors.print(printable(f"rejected: {path}: {reason}"), markup=False, highlight=False, soft_wrap=True)
    console.print(f"page: {printable(str(page))}", markup=False, highlight=False, soft_wrap=True)
    return INCOMPLETE if board.rejected else 0


def run_verify(options: argparse.Namespace, console: Console) -> int:
    """Measure again; the exit status."""
    outcome = verify(options.card, options.adversarial, options.overrides, options.tolerance)
    if outcome.found is not None:
        console.print(f"MAP on the card {outcome.claimed:.4f}, measured again {outcome.found:.4f}", highlight=False)
    for reason in outcome.reasons:
        console.print(printable(f"does not hold: {reason}"), markup=False, highlight=False, soft_wrap=True)
    verdict = "refuted" if outcome.reasons else "verified"
    console.print(f"{verdict}: {printable(str(options.card))}", markup=False, highlight=False, soft_wrap=True)
    return REFUTED if outcome.reasons else 0
