"""The W&B run of a job. The only file that knows wandb."""

import json
import logging
import os
import secrets
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aach_lightning.config.choices import LoggerName
from aach_lightning.config.schema import LoggerConfig
from aach_lightning.errors import TrackingError
from aach_lightning.runtime.curves import STEP, Row
from aach_lightning.runtime.files import write_json

if TYPE_CHECKING:
    from wandb import Run, Settings

RUN = "run.json"
PATIENCE = 300.0  # seconds at the end of a run for what the network has not taken yet
_ADVICE = (
    "Log in once with `wandb login` or set WANDB_API_KEY; or write the run to a folder with logger=wandb_offline and "
    "send it later; or take logger=csv."
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One call of a command, or one job of a multirun.

    Attributes:
        kind: The stage that it leads to, the job type in W&B.
        name: For people.
        group: Name of the sweep, or None.
        config: JSON values.
        memory: Folder that a killed job finds again, whatever its output folder: holds the run's id and its curves.
        output: Folder of this call.
    """

    kind: str
    name: str
    group: str | None
    config: dict[str, Any]
    memory: Path
    output: Path


@dataclass(frozen=True)
class Table:
    """Rows of cells: text, numbers, None, or images as uint8 arrays, H x W x 3."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def in_wandb(config: LoggerConfig) -> bool:
    """Whether a job has a W&B run."""
    return config.name in (LoggerName.wandb, LoggerName.wandb_offline)


def wanted_by_agent(config: LoggerConfig) -> bool:
    """Whether a W&B sweep waits for the numbers of this job, even if they have been measured before."""
    return in_wandb(config) and "WANDB_SWEEP_ID" in os.environ


def find_run(config: LoggerConfig, memory: Path) -> str | None:
    """Where the W&B run of a job is to be seen, or how it is sent; None if it has none."""
    if not in_wandb(config) or not (memory / RUN).exists():
        return None
    run = json.loads((memory / RUN).read_text())
    folder = run.get("folder")
    sent_later = folder is not None and Path(folder).exists()
    return run.get("url") or (f"wandb sync {shlex.quote(folder)}" if sent_later else None)


def check_login(config: LoggerConfig) -> None:
    """See before hours of work whether W&B can be used; no question is ever asked.

    Raises:
        TrackingError: If there is no API key, or one that cannot be right.
    """
    if config.name is not LoggerName.wandb:
        return
    import wandb  # starts slowly, and only where it is used

    if wandb.setup(_quiet()).settings.mode in ("offline", "dryrun", "disabled"):  # WANDB_MODE
        return
    try:
        known = wandb.login(prompt=False, verify=False)
    except wandb.Error as error:
        raise TrackingError(f"logger=wandb: {error}. {_ADVICE}") from error
    if not known:
        raise TrackingError(f"logger=wandb needs an API key, and none is configured. {_ADVICE}")


class WandbRun:
    """The run of a job, that of the killed job where there is one. Once started, its loss does not end the job.

    Args:
        config: Online or offline, and the project.
        job: What is said of it.

    Raises:
        TrackingError: If it does not start.
    """

    def __init__(self, config: LoggerConfig, job: Job) -> None:
        self._job = job
        self._run = _start(config, job)
        self._lost = False
        self._known = dict(self._run.summary)  # what the server has of a run that goes on; an offline run has nothing

    def define_axis(self, stage: str) -> None:
        """Let a stage count its own steps."""
        self._tell(lambda run: run.define_metric(f"{stage}/{STEP}", hidden=True))
        self._tell(lambda run: run.define_metric(f"{stage}/*", step_metric=f"{stage}/{STEP}"))

    def repeat(self, stage: str, rows: Sequence[Row]) -> None:
        """Log those rows of the killed job that have got lost with it: W&B sends every few seconds."""
        last = self._known.get(f"{stage}/{STEP}", -1)
        self.log(stage, [row for row in rows if row[STEP] > last])

    def log(self, stage: str, rows: Sequence[Row]) -> None:
        """Log rows of a stage under its name."""
        before = f"{stage}/"

        def send(run: "Run") -> None:
            for row in rows:
                run.log({key if key.startswith(before) else before + key: value for key, value in row.items()})

        self._tell(send)

    def conclude(self, numbers: Mapping[str, float], tables: Mapping[str, Table]) -> None:
        """Put numbers into the summary, and log tables."""

        def send(run: "Run") -> None:
            run.summary.update(dict(numbers))
            if not tables:
                return
            with _staged_in(Path(run.dir).parent if run.offline else None):
                run.log({name: _wandb_table(table) for name, table in tables.items()})

        self._tell(send)

    def keep(self, folder: Path) -> None:
        """Log a folder as an artifact; its versions differ by content alone."""

        def send(run: "Run") -> None:
            with _staged_in(Path(run.dir).parent if run.offline else None):
                run.log_artifact(str(folder), name=f"{folder.name}-{run.id}", type=folder.name)

        self._tell(send)

    def close(self, failed: bool) -> None:
        """End the run with exit code 0 or 1; what the network does not take in PATIENCE stays in the run's folder."""
        self._attempt(lambda run: run.finish(exit_code=int(failed)))

    def _tell(self, act: Callable[["Run"], object]) -> None:
        if not self._lost:
            self._attempt(act)

    def _attempt(self, act: Callable[["Run"], object]) -> None:
        try:
            act(self._run)
        except Exception as error:  # what writes and sends is a process of its own; its end can look like anything
            if not self._lost:
                log.warning(
                    "W&B does not take this run any further (%s: %s); the job goes on. All curves lie in %s; what W&B "
                    "has taken is sent by: wandb sync %s",
                    type(error).__name__,
                    error,
                    self._job.output,
                    json.loads((self._job.memory / RUN).read_text())["folder"],
                )
            self._lost = True


def _quiet() -> "Settings":
    """The terminal belongs to progress bars and tables."""
    import wandb

    return wandb.Settings(silent=True, console="off", finish_timeout=PATIENCE, finish_timeout_raises=True)


def _start(config: LoggerConfig, job: Job) -> "Run":
    import wandb

    wandb.setup(_quiet())
    remembered = job.memory / RUN
    identity = json.loads(remembered.read_text())["id"] if remembered.exists() else secrets.token_hex(6)
    write_json(remembered, {"id": identity})  # before W&B knows it: a job that is killed now finds it again
    job.output.mkdir(parents=True, exist_ok=True)
    offline = config.name is LoggerName.wandb_offline
    try:
        run = wandb.init(
            project=config.project,
            id=identity,
            resume=None if offline else "allow",
            mode="offline" if offline else None,
            name=job.name,
            group=job.group,
            job_type=job.kind,
            config=job.config,
            dir=job.output,
            reinit="create_new",  # never the run of an earlier job that could not be finished
            settings=_quiet(),
        )
    except (OSError, wandb.Error) as error:
        raise TrackingError(
            f"logger={config.name}: W&B did not start the run {identity} ({error}). Where there is no network, take "
            f"logger=wandb_offline or logger=csv; if that run was deleted in W&B, delete {remembered} too."
        ) from error
    folder = None if run.disabled else str(Path(run.dir).parent)
    url = None if run.offline or run.disabled else run.url
    write_json(remembered, {"id": run.id, "folder": folder, "url": url})  # a sweep's agent decides about the id
    return run


def _wandb_table(table: Table) -> Any:
    import wandb

    made = wandb.Table(columns=list(table.columns))
    for row in table.rows:
        made.add_data(*(wandb.Image(cell) if isinstance(cell, np.ndarray) else cell for cell in row))
    return made


@contextmanager
def _staged_in(folder: Path | None) -> Iterator[None]:
    """W&B would keep images of tables in the home folder until they are sent: an offline run keeps them with it."""
    variable = "WANDB_DATA_DIR"
    if folder is None or variable in os.environ:
        yield
        return
    os.environ[variable] = str(folder)
    try:
        yield
    finally:
        del os.environ[variable]
