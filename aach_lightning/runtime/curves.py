"""The curves of one stage: rows of numbers over steps, each handed on once, however often the training is killed."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import Logger

from aach_lightning.runtime.files import write_bytes

Row = dict[str, float]
STEP, EPOCH = "step", "epoch"


class Curves(Logger):
    """Lightning's logger of one stage.

    A training that was killed goes on from its last checkpoint and logs once more what came after it. So rows wait
    until a checkpoint covers them, and lie in it themselves: what is handed on has no gap, and no step comes twice.

    Args:
        stage: Name of the stage.
        earlier: Rows that were handed on before the training was killed.
        write: Gets all rows, and the number of those that it has had before. A row has a "step".
    """

    def __init__(self, stage: str, earlier: Sequence[Row], write: Callable[[Sequence[Row], int], None]) -> None:
        super().__init__()
        self.rows: list[Row] = list(earlier)
        self._stage, self._write = stage, write
        self._handed = len(self.rows)
        self._covered = 0  # steps before this one lie behind a checkpoint
        self._silent = True

    @property
    def name(self) -> str:
        """Name of the stage."""
        return self._stage

    @property
    def version(self) -> None:
        """There is one logger a stage."""

    def restore(self, rows: Sequence[Row]) -> None:
        """Go on with the rows of a checkpoint, where they are more than were handed on."""
        self.rows = max(self.rows, list(rows), key=len)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Take one row."""
        number = step or 0
        if self._silent:  # a training whose checkpoint could not be read starts anew
            self.rows = [row for row in self.rows if row[STEP] < number]
            self._handed = min(self._handed, len(self.rows))
            self._silent = False
        self.rows.append({STEP: number, **metrics})
        if number < self._covered:  # of the end of an epoch whose checkpoint has been written
            self._hand_on()

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The job tells its configuration as a whole."""

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Hand on what the checkpoint covers: `last.ckpt`, which watches no metric, is where a killed run goes on."""
        if checkpoint_callback.monitor is None and self.rows:
            self._covered = int(max(row[STEP] for row in self.rows)) + 1
            self._hand_on()

    def finalize(self, status: str) -> None:
        """Hand on the rest of a stage that has come to its end."""
        if status == "success":
            self._hand_on()

    def _hand_on(self) -> None:
        before, self._handed = self._handed, len(self.rows)
        if before < self._handed:
            self._write(self.rows, before)


class CurvesInCheckpoint(Callback):
    """Keeps the rows of a training in its checkpoints, also for a logger that is only there after a restart.

    Args:
        logger: Of the training; its rows are kept if it is Curves.
    """

    def __init__(self, logger: Logger | None) -> None:
        self._curves = logger if isinstance(logger, Curves) else None
        self._loaded: list[Row] = []

    def state_dict(self) -> dict[str, Any]:
        """Rows so far."""
        return {"rows": self._loaded if self._curves is None else self._curves.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the rows of a checkpoint."""
        self._loaded = state_dict["rows"]
        if self._curves is not None:
            self._curves.restore(self._loaded)


def write_rows(rows: Sequence[Row], *paths: Path) -> None:
    """Write rows as CSV files, each atomically; columns in the order in which they first appear."""
    columns = list(dict.fromkeys([STEP, *(key for row in rows for key in row)]))
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns)
    table.writeheader()
    table.writerows(rows)
    for path in paths:
        write_bytes(path, text.getvalue().encode())


def read_rows(path: Path) -> list[Row]:
    """Read a file that `write_rows` wrote; no rows where there is none."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: _number(key, text) for key, text in row.items() if text} for row in csv.DictReader(file)]


def _number(key: str, text: str) -> float:
    return int(float(text)) if key in (STEP, EPOCH) else float(text)
