"""The two commands against each other: a service, and an attack on it."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import LIMIT, ROOT, Launcher, Run

pytestmark = pytest.mark.timeout(600)

KEY = "a-key-for-this-test-only"


@contextmanager
def served(launcher: Launcher, arguments: tuple[str, ...], log: Path) -> Iterator[str]:
    """A service; gives its address, and ends it by Ctrl-C."""
    command, _ = launcher._command(arguments, "serving")
    with log.open("w") as file:
        service = subprocess.Popen(
            [sys.executable, "-m", "aach_lightning.serving", *command],
            cwd=ROOT,
            env={**launcher.environment, "AACH_API_KEYS": KEY},
            stdout=file,
            stderr=file,
        )
    try:
        end, address = time.monotonic() + LIMIT, None
        while address is None and service.poll() is None and time.monotonic() < end:
            address = re.search(r"answering at (http://\S+),", log.read_text())
            time.sleep(0.1)
        assert address is not None, log.read_text()
        yield address[1]
    finally:
        service.send_signal(signal.SIGINT)
        service.wait(LIMIT)
    assert service.returncode == 130


def test_an_attack_on_a_service_finds_what_one_in_the_same_process_finds(
    launcher: Launcher, scenes: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
    arguments = (*scenes, "evaluation.white_box=false")
    here = launcher.run("attack.py", arguments, "serving")
    assert here.status == 0, here.errors
    monkeypatch.setitem(launcher.environment, "AACH_API_KEY", KEY)
    of_http = [one for one in arguments if not one.startswith("target.epochs")]

    def attacked(address: str, *further: str) -> Run:
        run = launcher.run("attack.py", (*of_http, "target=http", f"target.method.url={address}", *further), "serving")
        assert run.status == 0, run.errors
        return run

    log = tmp_path / "log"
    with served(launcher, (*scenes, "serving.port=0"), log) as address:
        there = attacked(address)
        port = address.rpartition(":")[2]
        moved = attacked(f"http://localhost:{port}", "target.method.items=8")
    for key in ("rows", "chance", "queries", "surrogate", "data"):
        assert there.result[key] == here.result[key], key
    assert there.result["target"]["index_items"] == 320
    assert KEY not in log.read_text() + there.output + there.errors + (there.folder / "result.json").read_text()
    assert "finished before" not in there.output
    assert "finished before" in moved.output  # whoever answers is the same
    assert moved.lasting == there.lasting
    with served(launcher, (*scenes, f"serving.port={port}", "target.seed=1"), tmp_path / "other") as again:
        assert again == address
        other = attacked(again)
    assert "finished before" not in other.output  # another system at the same address
    assert other.result["rows"] != there.result["rows"]
