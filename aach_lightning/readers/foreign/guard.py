"""Files of foreign binary formats (MATLAB, HDF5) read by a child process, which a damaged file may end or fill.

One child serves all files that this process reads: a file costs it milliseconds, a damaged one a new child.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aach_lightning.errors import ConfigError, DataError
from aach_lightning.readers.containers.variable import Variable
from aach_lightning.readers.foreign.checks import file_kind

PATIENCE = 60.0
"""Seconds that one answer of the child may take, and one more for each MB of the file."""
MEMORY = 2**34
"""Bytes that the child may take at most; never more than three quarters of the machine's."""
PROGRAM = "from aach_lightning.readers.foreign.child import main; main()"


@dataclass
class ForeignFile:
    """An open file of a foreign format.

    Attributes:
        path: The file.
        kind: HDF5 or MATLAB 5.
        fields: Whether what lies inside structs (and MATLAB 5's cells) is listed too.
    """

    path: Path
    kind: str
    fields: bool
    _ended: str = field(default="", repr=False)

    def ask(self, do: str, *arguments: Any, where: str = "") -> Any:
        """What the child answers.

        Args:
            do: `listing`, `rows` or `strings` of `Hdf5File` or `Matlab5File`.
            arguments: Of that method.
            where: The variable, for messages.

        Raises:
            DataError: If the file is damaged: the child says so, or the file ends it, fills its memory or keeps it.
        """
        if self._ended:  # another child would only end too
            raise DataError(self._ended)
        request = {"path": str(self.path), "fields": self.fields, "do": do, "arguments": arguments}
        seconds = PATIENCE + (self.path.stat().st_size / 1e6 if self.path.exists() else 0)
        try:
            answer, values = _CHILD.ask(request, seconds)
        except ChildProcessError as error:
            self._ended = f"{self.path}: damaged {self.kind} file: reading it {error}"
            raise DataError(self._ended) from error
        if "error" in answer:
            told = f"{where}: cannot read it" if where else f"{self.path}: damaged {self.kind} file"
            raise DataError(f"{told}: {answer['error']}")
        return values if do == "rows" else answer.get("found")


@dataclass
class ForeignVariable(Variable):
    """An array or list of strings in a foreign file; what is not `in_parts` the child reads as a whole."""

    source: ForeignFile

    def rows(self, axis: int, start: int, stop: int) -> NDArray[np.generic]:
        """See `Variable`."""
        found: NDArray[np.generic] = self.source.ask("rows", self.key, axis, start, stop, where=self.where)
        return found

    def strings(self) -> list[str]:
        """See `Variable`."""
        found: list[str] = self.source.ask("strings", self.key, where=self.where)
        return found

    def whole(self) -> NDArray[np.generic]:
        """All numbers."""
        return self.rows(0, 0, self.shape[0])


def foreign_variables(path: Path, fields: bool = False) -> dict[str, ForeignVariable]:
    """List the variables of a MATLAB or HDF5 file by key.

    Args:
        path: The file.
        fields: List what lies inside structs too, as `variable.field` (and, of MATLAB 5's cells, `variable.number`).

    Raises:
        ConfigError: If h5py is needed and missing.
        DataError: If the file is of neither kind, or damaged.
    """
    kind = file_kind(path)
    if kind is None:
        raise DataError(f"{path}: neither HDF5 (MATLAB v7.3) nor MATLAB 5 by its first bytes")
    if kind == "HDF5" and find_spec("h5py") is None:
        raise ConfigError(f"{path} is HDF5 (MATLAB v7.3), which needs h5py: pip install 'aach-lightning[containers]'")
    source = ForeignFile(path.absolute(), kind, fields)
    listed = source.ask("listing")
    return {key: ForeignVariable(path, key, tuple(shape), text, parts, source) for key, shape, text, parts in listed}


@contextmanager
def reading() -> Iterator[None]:
    """As a decorator of a reader: at its end the child closes its file and forgets the content."""
    try:
        yield
    finally:
        if _CHILD.is_running():
            with suppress(ChildProcessError):
                _CHILD.ask({"path": ""}, PATIENCE)


class _Child:
    """The child process, started when it is first needed and again after a file has ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def ask(self, request: dict[str, Any], seconds: float) -> tuple[dict[str, Any], NDArray[np.generic]]:
        """Send one request and read its answer.

        Raises:
            ChildProcessError: If the child ends, or takes longer.
        """
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            late = threading.Event()
            timer = threading.Timer(seconds, lambda: late.set() or process.kill())  # type: ignore[func-returns-value]
            timer.start()
            try:
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline())
                values = np.empty(answer.get("shape", 0), np.dtype(answer.get("dtype", "u1")))
                rest = values.reshape(-1).view(np.uint8).data
                while rest:
                    count = process.stdout.readinto(rest)  # type: ignore[attr-defined]  # BufferedReader has it
                    if not count:
                        raise EOFError
                    rest = rest[count:]
            except (OSError, ValueError, EOFError) as error:  # the pipe ends early
                self.end()
                code = process.returncode
                ended = f"({signal.Signals(-code).name})" if code < 0 else f"(exit {code})"
                said = f"comes to no end ({seconds:.0f} s)" if late.is_set() else f"ends a process {ended}"
                raise ChildProcessError(said) from error
            except BaseException:  # interrupted between question and answer
                self.end()
                raise
            finally:
                timer.cancel()
            return answer, values

    def is_running(self) -> bool:
        """Whether this process has a child."""
        return self._process is not None and self._owner == os.getpid()

    def end(self) -> None:
        """End the process, if there is one."""
        if self._process is not None and self.is_running():
            with suppress(OSError, subprocess.TimeoutExpired):
                self._process.communicate(timeout=1)  # without a further request it ends
            self._process.kill()
            self._process.wait()
        self._process = None

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None or not self.is_running():  # a forked process must not share the pipes
            memory = min(MEMORY, _memory() * 3 // 4)
            self._owner = os.getpid()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", PROGRAM, str(memory)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process


def _memory() -> int:
    """Bytes of this machine's memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not everywhere
        return MEMORY


_CHILD = _Child()
atexit.register(_CHILD.end)
