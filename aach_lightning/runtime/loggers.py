"""Where the numbers of a job go: nowhere, into CSV files, or into CSV files and one W&B run."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from aach_lightning.config.choices import LoggerName
from aach_lightning.config.schema import LoggerConfig
from aach_lightning.runtime import ranks
from aach_lightning.runtime.curves import Curves, Row, read_rows, write_rows
from aach_lightning.runtime.files import write_bytes
from aach_lightning.runtime.wandb_run import Job, Table, WandbRun, in_wandb

CURVES = "curves"

_tracked: list["_Tracker"] = []  # at most one: a process works on one job at a time


@contextmanager
def track(config: LoggerConfig, job: Job, at_once: bool = False) -> Iterator[None]:
    """Track what is done in the body of the `with` statement; an exception there is the W&B run's failure.

    Every process of a run must call this; the first one tracks.

    Args:
        config: Which logger.
        job: What is said of it.
        at_once: Start the W&B run now, not with the first stage that is not finished yet.

    Raises:
        TrackingError: If the W&B run does not start.
    """
    if config.name is LoggerName.none:
        yield
        return
    tracker = _Tracker(config, job)
    _tracked.append(tracker)
    failed = True
    try:
        if at_once:
            tracker.start()
        yield
        failed = False
    finally:
        _tracked.remove(tracker)
        if tracker.run is not None:
            tracker.run.close(failed)


@contextmanager
def stage_logger(stage: str) -> Iterator[Curves | None]:
    """The Lightning logger of one stage of the job that is tracked; None where none is, and on other processes.

    Every process must call this, and only for a stage that is not finished.
    """
    curves = _tracked[0].curves(stage) if _tracked else None
    yield curves
    if curves is not None:
        curves.finalize("success")


@contextmanager
def untracked() -> Iterator[None]:
    """Nothing that is done in the body of the `with` statement is tracked: it repeats a stage whose curves count."""
    paused = _tracked.copy()
    _tracked.clear()
    try:
        yield
    finally:
        _tracked.extend(paused)


def log_outcome(numbers: Mapping[str, float], tables: Mapping[str, Table]) -> None:
    """Tell the W&B run of the job what it has found, if there is one; CSV files hold curves alone.

    Args:
        numbers: Go into the summary of the run.
        tables: By name.
    """
    run = _tracked[0].run if _tracked else None
    if run is not None:
        run.conclude(numbers, tables)


def log_folder(folder: Path) -> None:
    """Give a folder to the W&B run of the job, if there is one, as an artifact named after it."""
    run = _tracked[0].run if _tracked else None
    if run is not None:
        run.keep(folder)


class _Tracker:
    """Curve files of one job, and its W&B run, both from their start on."""

    def __init__(self, config: LoggerConfig, job: Job) -> None:
        self.config, self.job = config, job
        self.started = False
        self.run: WandbRun | None = None

    def start(self) -> None:
        """Go on with what the job had written before it was killed; an error reaches every process."""
        if not self.started:
            ranks.on_first(self._start)
        self.started = True

    def _start(self) -> None:
        kept = self.job.memory / CURVES
        earlier = {file.relative_to(kept).with_suffix("").as_posix(): file for file in sorted(kept.rglob("*.csv"))}
        for stage, file in earlier.items():
            write_bytes(_file(self.job.output, stage), file.read_bytes())
        if in_wandb(self.config):
            self.run = WandbRun(self.config, self.job)
            for stage, file in earlier.items():
                self.run.define_axis(stage)
                self.run.repeat(stage, read_rows(file))

    def curves(self, stage: str) -> Curves | None:
        self.start()
        if not ranks.is_first():
            return None
        kept, shown = _file(self.job.memory, stage), _file(self.job.output, stage)
        if self.run is not None:
            self.run.define_axis(stage)

        def write(rows: Sequence[Row], before: int) -> None:
            write_rows(rows, kept, shown)
            if self.run is not None:
                self.run.log(stage, rows[before:])

        return Curves(stage, read_rows(kept), write)


def _file(folder: Path, stage: str) -> Path:
    return folder / CURVES / f"{stage}.csv"
