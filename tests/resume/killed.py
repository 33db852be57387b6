"""Runs a command in forks of one process, each killed where it is about to touch a certain file for the n-th time.

Reads a JSON list of {"script", "arguments", "output", "errors", "store", "trace", "place", "number"}; `place` is a
regular expression for what happens ("open target/<key>.building/..."), null for a run that shall end by itself. What
happened to files below `store` is written to `trace`. Writes a JSON list of exit statuses.
"""

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import aach_lightning.cli  # noqa: F401 - what takes long
from tests.e2e.forked import child

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def watch(store: str, trace: str, place: str | None, number: int) -> None:
    """Note every write below `store`, and kill this process at the chosen one, before it happens."""
    descriptor = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    left = [number]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("open", "os.rename", "os.mkdir", "os.remove"):
            return
        path = arguments[1 if event == "os.rename" else 0]  # a file's new name
        if not isinstance(path, str) or not path.startswith(store) or (event == "open" and not arguments[2] & WRITING):
            return
        what = f"{event} {os.path.relpath(path, store)}"
        os.write(descriptor, f"{what}\n".encode())
        if place is not None and re.search(place, what):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main(commands: Path, statuses: Path) -> None:
    found = []
    for command in json.loads(commands.read_text()):
        process = os.fork()
        if process == 0:
            watch(*(command.pop(name) for name in ("store", "trace", "place", "number")))
            os._exit(child(**command))
        found.append(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
    statuses.write_text(json.dumps(found))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
