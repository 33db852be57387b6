"""The traceback of a failed run, left in its folder for whoever looks at a sweep the next day."""

import traceback
from contextlib import suppress
from pathlib import Path

from aach_lightning.errors import AachError, is_reported
from aach_lightning.runtime.files import write_bytes

ERROR = "error.txt"


def keep_failure(folder: Path, error: Exception) -> None:
    """Write the traceback, unless there is one: of the processes of a run the first to fail shows the cause."""
    file = folder / ERROR
    if is_reported(error) or file.exists():
        return
    with suppress(AachError, OSError):  # a full disk must not hide the first error
        write_bytes(file, "".join(traceback.format_exception(error)).encode())


def forget_failure(folder: Path) -> None:
    """Remove what an earlier try has left."""
    (folder / ERROR).unlink(missing_ok=True)
