"""The two commands as a user starts them: processes in the repository's root, small sizes, folders of their own."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 150  # seconds; a run takes about ten on an idle machine
NETWORKS = ("image_net@target.image_net=small_cnn", "image_net@surrogate.image_net=small_cnn")
SMALL = (
    *NETWORKS,
    "data.image_size=32",
    "target.epochs=2",
    "surrogate.epochs=2",
    "attack.steps=3",
    "target.code_length=16",
    "evaluation.queries=12",
)
SCENES = (*SMALL, "data.pairs=160", "split.query=30", "split.train=80", "budget.pairs=40")


@dataclass(frozen=True)
class Run:
    """A command that has ended."""

    status: int
    output: str
    errors: str
    folder: Path

    @property
    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "result.json").read_text(encoding="utf-8"))
        return found

    @property
    def lasting(self) -> dict[str, Any]:
        """The result without what a clock and the operating system decide."""
        return {key: value for key, value in self.result.items() if key != "stages"}


class Launcher:
    """Starts commands with stores and outputs below one folder; images are drawn once for all of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("AACH_")},
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "80",
            "TERM": "xterm",
        }
        self.environment.pop("PYTHONWARNINGS", None)

    def store(self, name: str) -> Path:
        return self.folder / "stores" / name

    def copy_target(self, name: str, other: str) -> None:
        """Put a copy of the target of one store, and nothing else, into another one."""
        shutil.copytree(self.store(name) / "target", self.store(other) / "target")

    def _command(self, arguments: Sequence[str], store: str) -> tuple[list[str], Path]:
        self.count += 1
        output = self.folder / "runs" / str(self.count)
        paths = [f"paths.store={self.store(store)}", f"paths.cache={self.folder / 'cache'}", f"hydra.run.dir={output}"]
        return [*arguments, *paths], output

    def start(self, script: str, arguments: Sequence[str], store: str) -> tuple["subprocess.Popen[str]", Path]:
        full, output = self._command(arguments, store)
        process = subprocess.Popen(
            [sys.executable, script, *full],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return process, output

    def run(self, script: str, arguments: Sequence[str], store: str) -> Run:
        process, folder = self.start(script, arguments, store)
        return self.finish(process, folder)

    def finish(self, process: "subprocess.Popen[str]", folder: Path) -> Run:
        try:
            output, errors = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
            pytest.fail(f"no end after {LIMIT} s\n{output[-2000:]}\n{errors[-2000:]}")
        return Run(process.returncode, output, errors, folder)

    def run_until(
        self, arguments: Sequence[str], store: str, reached: Callable[[], bool], number: signal.Signals
    ) -> Run:
        """Run attack.py and send a signal once `reached` holds."""
        process, folder = self.start("attack.py", arguments, store)
        end = time.monotonic() + LIMIT
        while not reached() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        process.send_signal(number)
        return self.finish(process, folder)

    def run_in_terminal(self, script: str, arguments: Sequence[str], store: str) -> Run:
        """Run with a pseudo-terminal for standard output and errors, as a person sees it."""
        full, folder = self._command(arguments, store)
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, script, *full], cwd=ROOT, env=self.environment, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        parts = []
        try:
            while part := os.read(master, 65536):
                parts.append(part)
        except OSError:  # Linux: the other side has been closed
            pass
        os.close(master)
        return Run(process.wait(LIMIT), b"".join(parts).decode(), "", folder)

    def run_forked(self, commands: Sequence[tuple[str, Sequence[str], str]]) -> list[Run]:
        """Run (script, arguments, store) one after the other in forks of one process."""
        listed, folders = [], []
        for script, arguments, store in commands:
            full, folder = self._command(arguments, store)
            texts = [str(self.folder / f"{self.count}.{name}") for name in ("output", "errors")]
            listed.append({"script": script, "arguments": full, "output": texts[0], "errors": texts[1]})
            folders.append(folder)
        request, answer = self.folder / f"{self.count}.request", self.folder / f"{self.count}.answer"
        request.write_text(json.dumps(listed))
        path = os.pathsep.join([str(ROOT), self.environment.get("PYTHONPATH", "")])
        subprocess.run(
            [sys.executable, str(Path(__file__).with_name("forked.py")), str(request), str(answer)],
            cwd=ROOT,
            env={**self.environment, "PYTHONPATH": path},
            timeout=LIMIT,
            check=True,
        )
        return [
            Run(status, Path(command["output"]).read_text(), Path(command["errors"]).read_text(), folder)
            for status, command, folder in zip(json.loads(answer.read_text()), listed, folders, strict=True)
        ]


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Launcher:
    return Launcher(tmp_path_factory.mktemp("e2e"))


@pytest.fixture(scope="session")
def first(launcher: Launcher) -> Run:
    """A small attack from an empty store, in a terminal."""
    return launcher.run_in_terminal("attack.py", SCENES, "first")


@pytest.fixture(scope="session")
def together(launcher: Launcher) -> Run:
    """The same attack, by two processes that the command itself starts."""
    return launcher.run("attack.py", (*SCENES, "trainer=ddp", "trainer.devices=2"), "together")


@pytest.fixture(scope="session")
def scenes() -> tuple[str, ...]:
    return SCENES


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    return SMALL
