"""Runs commands one after the other, each in a fork of one process that has imported the libraries: seconds saved.

Reads a JSON list of {"script", "arguments", "output", "errors"}, writes a JSON list of exit statuses.
"""

import contextlib
import json
import os
import runpy
import sys
import traceback
from pathlib import Path

import aach_lightning.cli  # noqa: F401 - what takes long


def child(script: str, arguments: list[str], output: str, errors: str) -> int:
    for name, descriptor in ((output, 1), (errors, 2)):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, descriptor)
    sys.argv = [script, *arguments]
    status = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    return status


def main(commands: Path, statuses: Path) -> None:
    found = []
    for command in json.loads(commands.read_text()):
        process = os.fork()
        if process == 0:
            os._exit(child(**command))
        found.append(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
    statuses.write_text(json.dumps(found))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
