"""The program of the guarded child process (see `guard`): answers requests with the numbers and strings of files.

scipy's and HDF5's parsers believe what a file says: a damaged one can end the process that reads it, or fill its
memory. Here that ends this process alone.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from aach_lightning.readers.foreign.checks import file_kind
from aach_lightning.readers.foreign.hdf5 import Hdf5File
from aach_lightning.readers.foreign.matlab5 import Matlab5File


def main() -> None:
    """Serve on standard input and output; the first argument is the memory that may be taken, in bytes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and this process ends with it
    _limit_memory(int(sys.argv[1]))
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints does not go into the pipe
    serve(sys.stdin.buffer, pipe)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more: a line of JSON each; numbers follow their line as bytes.

    A request names the file, `fields`, and what to do: `listing`, `rows` or `strings` with their arguments. The file
    stays open until a request names another one or none.
    """
    file: Hdf5File | Matlab5File | None = None
    opened: Any = None
    for line in requests:
        request, found = json.loads(line), None
        content = memoryview(b"")
        try:
            wanted = _identity(request)
            if file is not None and wanted != opened:
                file.close()
                file = None
            if file is None and wanted is not None:
                path = Path(request["path"])
                file, opened = (Hdf5File if file_kind(path) == "HDF5" else Matlab5File)(path, request["fields"]), wanted
            if file is not None:
                found = getattr(file, request["do"])(*request["arguments"])
            answer: dict[str, Any] = {"found": found}
            if isinstance(found, np.ndarray):
                values = np.ascontiguousarray(found)
                answer = {"dtype": values.dtype.str, "shape": values.shape}
                content = values.reshape(-1).view(np.uint8).data
        except MemoryError:
            answer = {"error": "it needs more memory than a file may take"}
        except Exception as error:  # both libraries raise almost anything
            answer = {"error": str(error) or type(error).__name__}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.write(content)
        answers.flush()


def _identity(request: dict[str, Any]) -> tuple[Any, ...] | None:
    if not request["path"]:
        return None
    status = Path(request["path"]).stat()
    return request["path"], request["fields"], status.st_ino, status.st_size, status.st_mtime_ns


def _limit_memory(size: int) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    except (ImportError, ValueError, OSError):  # not everywhere
        pass
