"""The wheel, built from the checkout and installed where the checkout cannot be seen."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import aach_lightning
from tests.conftest import CONF, TINY

ROOT = CONF.parent
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
COMMANDS = ("aach-attack", "aach-benchmark", "aach-data", "aach-reports", "aach-targets", "aach-train")
# each command of the installed package with --help, in one process; what stands in both streams, and the exit status
HELP = """
import contextlib, io, json, sys
from importlib.metadata import distribution
import aach_lightning
shown = {}
for entry in distribution("aach-lightning").entry_points:
    sys.argv = [entry.name, "--help"]
    said, status = io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            status = entry.load()()
        except SystemExit as end:
            status = end.code
    shown[entry.name] = [status or 0, said.getvalue()]
print(json.dumps([aach_lightning.__file__, shown]))
"""


def run(command: Sequence[str | Path], folder: Path, **environment: str) -> str:
    """What a command says; it must end well."""
    names = {key: value for key, value in os.environ.items() if not key.startswith("AACH_") and key != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**names, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fresh installation, beside nothing else of the project."""
    folder = tmp_path_factory.mktemp("install")
    source, target = folder / "source", folder / "site"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("aach_lightning", "conf"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, source], folder)
    (wheel,) = folder.glob("*.whl")
    run([*PIP, "install", "--no-deps", "--no-index", "--target", target, wheel], folder)
    shutil.rmtree(source)
    return target


def test_it_holds_every_file(installed: Path) -> None:
    def below(folder: Path) -> set[Path]:
        found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return {path for path in found if "__pycache__" not in path.parts}

    assert below(installed / "aach_lightning" / "conf") == below(CONF)
    shutil.rmtree(installed / "aach_lightning" / "__pycache__", ignore_errors=True)
    modules = {path for path in below(installed / "aach_lightning") if path.parts[0] != "conf"}
    assert modules == below(ROOT / "aach_lightning")
    (facts,) = installed.glob("aach_lightning-*.dist-info/METADATA")
    assert f"\nVersion: {aach_lightning.__version__}\n" in facts.read_text(encoding="utf-8")


def test_each_command_helps(installed: Path, tmp_path: Path) -> None:
    home, shown = json.loads(run([sys.executable, "-c", HELP], tmp_path, PYTHONPATH=str(installed)))
    assert Path(home).is_relative_to(installed)
    assert tuple(sorted(shown)) == COMMANDS
    hydra = ("aach-attack", "aach-train")  # signhunter: the choices are read from the packaged files
    expected = {name: "signhunter" if name in hydra else "usage: python -m aach_lightning" for name in COMMANDS}
    wrong = [name for name, (status, said) in shown.items() if status or expected[name] not in said]
    assert not wrong, shown


def test_an_attack_with_a_configuration_of_ones_own(installed: Path, tmp_path: Path) -> None:
    own = tmp_path / "own" / "experiment"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("# @package _global_\nattack:\n  epsilon: 3\n", encoding="utf-8")
    command = [installed / "bin" / "aach-attack", "--config-dir=own", "experiment=mine", "data=scenes", *TINY]
    said = run(command, tmp_path, PYTHONPATH=str(installed))
    (folder,) = (tmp_path / "outputs" / "runs").iterdir()
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["config"]["attack"]["epsilon"] == 3
    assert result["queries"]["spent_pairs"] == 30
    assert (folder / "attack.log").is_file()
    assert "MAP" in said
