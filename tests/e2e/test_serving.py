"""The two commands against each other: a service, and an attack on it."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import LIMIT, ROOT, Launcher

KEY = "a-key-for-this-test-only"


def test_an_attack_on_a_service_finds_what_one_in_the_same_process_finds(
    launcher: Launcher, scenes: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
    arguments = (*scenes, "evaluation.white_box=false")
    here = launcher.run("attack.py", arguments, "serving")
    assert here.status == 0, here.errors
    command, _ = launcher._command((*scenes, "serving.port=0"), "serving")
    environment = {**launcher.environment, "AACH_API_KEYS": KEY}
    log = tmp_path / "log"
    with log.open("w") as file:
        service = subprocess.Popen(
            [sys.executable, "-m", "aach_lightning.targets.serve", *command],
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=file,
        )
    try:
        end, address = time.monotonic() + LIMIT, None
        while address is None and service.poll() is None and time.monotonic() < end:
            address = re.search(r"answering at (http://\S+),", log.read_text())
            time.sleep(0.1)
        assert address is not None, log.read_text()
        launcher.environment["AACH_API_KEY"] = KEY
        of_http = [one for one in arguments if not one.startswith("target.epochs")]
        there = launcher.run("attack.py", (*of_http, "target=http", f"target.method.url={address[1]}"), "serving")
        assert there.status == 0, there.errors
    finally:
        launcher.environment.pop("AACH_API_KEY", None)
        service.send_signal(signal.SIGINT)
        service.wait(LIMIT)
    for key in ("rows", "chance", "queries", "surrogate", "data"):
        assert there.result[key] == here.result[key], key
    assert there.result["target"]["index_items"] == 320
    assert KEY not in log.read_text() + there.output + there.errors + (there.folder / "result.json").read_text()
    assert service.returncode == 130
