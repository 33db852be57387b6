"""A sweep of 2 budgets x 2 epsilons x 2 seeds: what is shared is built once, what is finished is not repeated."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from aach_lightning.targets.ledger import Ledger

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(find_spec("joblib") is None, reason="needs the extra joblib"),
]
SWEEP = ("budget.pairs=20,40", "attack.epsilon=4,8", "seed=0,1")
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
# deltas of an image for both networks and epsilons, of a text for both networks: its epsilon is not swept
BUILT = {"target": 1, "surrogate": 4, "attack": 4 * (2 * 2 + 2), "result": 8}
LOOKED_UP = {"target": 8, "surrogate": 8, "attack": 8 * 4, "result": 8}


class Job(NamedTuple):
    """What tells a job from the others."""

    pairs: int
    epsilon: float
    seed: int


class Sweep(NamedTuple):
    status: int
    output: str
    folder: Path
    store: Path

    @property
    def log(self) -> str:
        return "".join(file.read_text() for file in self.folder.glob("*/attack.log"))

    @property
    def results(self) -> dict[Job, dict[str, Any]]:
        """Without times, by job."""
        return {job_of(result): result for result in map(read, self.folder.glob("*/result.json"))}

    def artifacts(self, stage: str) -> list[Path]:
        return [path for path in (self.store / stage).iterdir() if path.is_dir()]

    def result_of(self, job: Job) -> Path:
        return next(path for path in self.artifacts("result") if job_of(read(path / "result.json")) == job)


def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    del found["stages"]
    return found


def job_of(result: dict[str, Any]) -> Job:
    config = result["config"]
    return Job(config["budget"]["pairs"], config["attack"]["epsilon"], config["seed"])


def arguments(scenes: tuple[str, ...], folder: Path, *further: str) -> tuple[str, ...]:
    shared = [each for each in scenes if not each.startswith("budget.pairs=")]
    return ("-m", *further, *shared, *SWEEP, f"hydra.sweep.dir={folder}")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweeps")


@pytest.fixture(scope="module")
def sweeps(launcher: Any, scenes: tuple[str, ...], folders: Path) -> dict[str, Sweep]:
    """From empty stores: one job after the other in one process, and two at a time."""
    found = {}
    for name, further in (("one by one", ()), ("parallel", JOBLIB)):
        run = launcher.run("attack.py", arguments(scenes, folders / name, *further), name)
        found[name] = Sweep(run.status, run.output + run.errors, folders / name, launcher.store(name))
    return found


@pytest.mark.parametrize("name", ["one by one", "parallel"])
def test_each_stage_is_built_once(sweeps: dict[str, Sweep], name: str) -> None:
    sweep = sweeps[name]
    assert sweep.status == 0, sweep.output
    for stage, built in BUILT.items():
        assert len(sweep.artifacts(stage)) == built, stage
        assert sweep.log.count(f"{stage}: found") == LOOKED_UP[stage] - built, stage
    assert sweep.log.count("queries, ") == BUILT["surrogate"]  # "reserved n queries, m of M are spent"
    assert not list(sweep.store.glob("*/*.building"))
    assert not list(sweep.folder.glob("*/error.txt"))


def test_in_parallel_the_results_are_the_same(sweeps: dict[str, Sweep]) -> None:
    expected, found = (sweeps[name].results for name in ("one by one", "parallel"))
    assert len(expected) == 8
    assert found == expected


@pytest.mark.parametrize("name", ["one by one", "parallel"])
def test_budgets_are_nested_and_each_run_pays_its_own(sweeps: dict[str, Sweep], name: str) -> None:
    sweep = sweeps[name]
    for job, result in sweep.results.items():
        assert result["queries"]["spent_pairs"] == job.pairs
    asked: dict[tuple[int, int], list[int]] = {}
    for path in sweep.artifacts("surrogate"):
        depends_on = json.loads((path / "artifact.json").read_text())["depends_on"]
        rows = json.loads((path / "spent.json").read_text())["rows"]
        asked[depends_on["seed"], depends_on["budget"]["pairs"]] = rows
    for seed in (0, 1):
        assert asked[seed, 40][:20] == asked[seed, 20]
        assert len(set(asked[seed, 40])) == 40
    assert asked[0, 40] != asked[1, 40]
    (target,) = sweep.artifacts("target")
    ledger = Ledger(sweep.store / "ledger" / f"{target.name}.ledger", 16, target.name)
    with ledger.locked():
        assert ledger.paid == len(np.union1d(asked[0, 40], asked[1, 40]))


@pytest.fixture(scope="module")
def damaged(launcher: Any, sweeps: dict[str, Sweep], scenes: tuple[str, ...], folders: Path) -> tuple[Sweep, Job, Job]:
    """The sweep again where the result of one job is damaged, and a later job has none."""
    store = launcher.store("damaged sweep")
    shutil.copytree(sweeps["parallel"].store, store)
    before = Sweep(0, "", folders / "parallel", store)
    broken, missing = Job(20, 4.0, 1), Job(40, 4.0, 0)
    with (before.result_of(broken) / "result.json").open("ab") as file:
        file.write(b" ")
    shutil.rmtree(before.result_of(missing))
    run = launcher.run("attack.py", arguments(scenes, folders / "damaged", *JOBLIB), "damaged sweep")
    return Sweep(run.status, run.output + run.errors, folders / "damaged", store), broken, missing


def test_a_failed_job_leaves_its_traceback_and_the_others_go_on(
    damaged: tuple[Sweep, Job, Job], sweeps: dict[str, Sweep]
) -> None:
    sweep, broken, missing = damaged
    assert sweep.status == 1, sweep.output
    expected = sweeps["parallel"].results
    assert sweep.results == {job: result for job, result in expected.items() if job != broken}
    (error,) = sweep.folder.glob("*/error.txt")
    assert "StoreError" in error.read_text()
    assert "Traceback" in error.read_text()
    assert str(sweep.result_of(missing).name) not in error.read_text()
    assert sweep.output.count("error: StoreError") == 1


def test_repeated_commands_do_only_what_is_missing(
    damaged: tuple[Sweep, Job, Job],
    sweeps: dict[str, Sweep],
    launcher: Any,
    scenes: tuple[str, ...],
    folders: Path,
) -> None:
    sweep, broken, _ = damaged
    shutil.rmtree(sweep.result_of(broken))  # what the message says
    names = ("repaired", "finished")
    runs = launcher.run_forked(
        [("attack.py", arguments(scenes, folders / name), "damaged sweep") for name in names],
    )
    repaired, finished = (
        Sweep(run.status, run.output + run.errors, folders / name, sweep.store)
        for run, name in zip(runs, names, strict=True)
    )
    for again, missing in ((repaired, 1), (finished, 0)):
        assert again.status == 0, again.output
        assert again.output.count("finished before") == 8 - missing
        assert again.log.count("result: found") == 8 - missing
        assert again.log.count("target: found") == missing
        assert "reserved" not in again.output
        assert "training" not in again.output
        assert again.results == sweeps["one by one"].results
