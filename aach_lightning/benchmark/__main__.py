"""A table of methods: python -m aach_lightning.benchmark OVERRIDES."""

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from aach_lightning import cli
from aach_lightning.benchmark.cards import cards_of, with_shares
from aach_lightning.benchmark.plan import Job, chosen_methods, compose_job, load_plan, make_jobs
from aach_lightning.benchmark.table import markdown
from aach_lightning.config.options import CONF
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.adversarial_set import MANIFEST
from aach_lightning.errors import AachError, is_reported
from aach_lightning.evaluation.card import Card
from aach_lightning.evaluation.result import Result
from aach_lightning.reports.run_folder import ADVERSARIAL, RESULT
from aach_lightning.runtime.failures import forget_failure, keep_failure
from aach_lightning.runtime.files import digest, write_bytes
from aach_lightning.runtime.interrupts import remembered_interrupts
from aach_lightning.runtime.launch import run_in_processes

FAILED, INCOMPLETE, INTERRUPTED = 1, 3, 130

_EPILOG = """
OVERRIDES are those of attack.py, and sweep as there:

  python -m aach_lightning.benchmark budget.pairs=200,500 attack.epsilon=4,8

runs every method of the plan at both budgets and both bounds. What is
finished is kept: the same command goes on where it was stopped. A run that
fails is reported, leaves its traceback in its folder, and the others go on.

files written:
  cards/*.json  one for each row: measurement, what it needed, how to repeat it
  table.md      one table for each setting, means over seeds
  runs/*        what attack.py writes, one folder a run

exit status: 0; 3 when a run has failed.
"""


def command_line() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m aach_lightning.benchmark",
        description="Run many methods against one target, under one protocol.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    plans = ", ".join(sorted(path.stem for path in (CONF / "benchmark").glob("*.yaml")))
    parser.add_argument("--plan", default="methods", help=f"{plans}, or a YAML file (default: methods)")
    parser.add_argument("--methods", metavar="NAMES", help="some methods of the plan, separated by commas")
    parser.add_argument("--to", type=Path, default=Path("outputs/benchmark"), metavar="FOLDER", help="where files go")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDES", help="such as data=scenes seed=0,1,2")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark; the exit status, see `--help`."""
    options = command_line().parse_intermixed_args(arguments)
    console, errors = Console(), Console(stderr=True)
    try:
        jobs = make_jobs(chosen_methods(load_plan(options.plan), options.methods), options.overrides)
        configs = [compose_job(job, options.to / "runs" / job.name) for job in jobs]  # mistakes before hours of work
        with remembered_interrupts():
            failed = _run_all(jobs, configs, errors)
        cards = [card for job, config in zip(jobs, configs, strict=True) for card in _read(job, config)]
        _write(cards, options.to, console)
    except AachError as error:
        if not is_reported(error):
            errors.print(f"[bold red]error:[/] {type(error).__name__}", highlight=False)
            errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return FAILED
    except KeyboardInterrupt:
        errors.print("[bold yellow]interrupted.[/] Finished runs are kept: run the same command again to continue.")
        return INTERRUPTED
    return INCOMPLETE if failed else 0


def _run_all(jobs: Sequence[Job], configs: Sequence[RunConfig], errors: Console) -> int:
    failed = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as progress:
        task = progress.add_task("runs", total=len(jobs))
        for job, config in zip(jobs, configs, strict=True):
            progress.update(task, description=" ".join([job.method, *(f"{key}={value}" for key, value in job.setting)]))
            folder = Path(config.paths.output)
            forget_failure(folder)
            try:
                run_in_processes(config, cli.measure)
            except Exception as error:
                failed += 1
                keep_failure(folder, error)
                errors.print(f"failed: {job.method}: {error}", markup=False, highlight=False, soft_wrap=True)
            progress.advance(task)
    return failed


def _read(job: Job, config: RunConfig) -> list[Card]:
    output = Path(config.paths.output)
    if not (output / RESULT).exists():
        return []
    manifest = output / ADVERSARIAL / MANIFEST
    saved = digest(manifest.read_bytes()) if config.evaluation.save_adversarial else None
    return cards_of(job, Result.load(output / RESULT), _hardware(config), saved)


def _hardware(config: RunConfig) -> str:
    if config.trainer.accelerator in ("gpu", "cuda") and torch.cuda.is_available():
        return f"{config.trainer.devices} x {torch.cuda.get_device_name()}"
    return f"{platform.machine()}, {torch.get_num_threads()} threads"


def _write(cards: Sequence[Card], to: Path, console: Console) -> None:
    # clean queries and noise come with every method: those of the plan's first count
    shared = list({card.name: card for card in reversed(with_shares(cards))}.values())[::-1]
    for card in shared:
        card.save(to / "cards")
    text = markdown(shared)
    write_bytes(to / "table.md", text.encode())
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    console.print(f"cards: {to / 'cards'}", markup=False, soft_wrap=True)
    console.print(f"table: {to / 'table.md'}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
