"""Whole commands with logger=wandb_offline; what they have written is read back."""

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wandb

from aach_lightning import cli
from aach_lightning.config.schema import RunConfig
from aach_lightning.runtime.curves import read_rows
from tests.e2e.conftest import Launcher
from tests.wandb_file import WrittenRun, leave_account, run_files, written_run

pytestmark = pytest.mark.timeout(400)

OFFLINE = "logger=wandb_offline"
SHORT = ("evaluation.white_box=false", "attack.modality=image")


@pytest.fixture(scope="module")
def tracked(launcher: Launcher) -> Launcher:
    """A launcher without the account of the person who runs this, and without a network."""
    other = Launcher(launcher.folder / "tracking")
    other.folder.mkdir()
    private = str(other.folder / "private")
    kept = {name: value for name, value in other.environment.items() if not name.startswith("WANDB_")}
    other.environment = {
        **kept,
        "NETRC": f"{private}/netrc",
        "WANDB_CONFIG_DIR": private,
        "WANDB_CACHE_DIR": private,
        "WANDB_BASE_URL": "http://127.0.0.1:9",  # nobody answers
    }
    return other


@pytest.fixture(scope="module")
def sweep(tracked: Launcher, scenes: tuple[str, ...]) -> tuple[Any, Path]:
    """Two jobs of one process."""
    folder = tracked.folder / "sweeps" / "two_seeds"
    saved = "evaluation.save_adversarial=true"
    arguments = ("-m", *scenes, "seed=0,1", OFFLINE, saved, f"hydra.sweep.dir={folder}")
    return tracked.run("attack.py", arguments, "sweep"), folder


def read(folder: Path) -> WrittenRun:
    (file,) = run_files(folder)
    return written_run(file)


def losses(folder: Path, stage: str) -> list[tuple[float, float]]:
    rows, name = read_rows(folder / "curves" / f"{stage}.csv"), f"{stage}/loss"
    return [(row["step"], row[name]) for row in rows if name in row]


def test_each_job_of_a_sweep_is_one_run(sweep: tuple[Any, Path], scenes: tuple[str, ...]) -> None:
    run, folder = sweep
    assert run.status == 0, run.output + run.errors
    jobs = [read(folder / number) for number in ("0", "1")]
    assert len({job.run.run_id for job in jobs}) == len(run_files(folder)) == 2
    for seed, job in enumerate(jobs):
        told = (job.run.project, job.run.run_group, job.run.job_type, job.exit_code)
        assert told == ("aach_lightning", "two_seeds", "attack", 0)
        assert job.run.display_name == " ".join([*scenes, f"seed={seed}"])[:128]
        assert job.config["seed"] == seed
        assert job.config["attack"]["gradient"]["diversity"] == {"probability": 1.0, "smallest": 0.9}
        assert job.config["target"]["epochs"] == 2


def test_a_run_has_the_curves_of_every_stage_that_its_job_has_built(sweep: tuple[Any, Path]) -> None:
    _, folder = sweep
    first, second = read(folder / "0"), read(folder / "1")
    crafted = {f"attack/{stage}" for stage in ("image", "image_white_box", "text", "text_white_box")}
    assert set(first.axes.values()) - {""} == {f"{stage}/step" for stage in crafted | {"target", "surrogate"}}
    # the second attacker finds the target that the first one has trained
    assert set(second.axes.values()) - {""} == {f"{stage}/step" for stage in crafted | {"surrogate"}}
    steps = {"target": 2, "surrogate": 4, "attack/image": 3, "attack/text_white_box": 3}
    for stage, count in steps.items():
        curve = first.curve(f"{stage}/loss", f"{stage}/step")
        assert [step for step, _ in curve] == list(range(count))
        assert curve == losses(folder / "0", stage)
    assert [step for step, _ in first.curve("target/map", "target/step")] == [0, 1]


def test_a_run_has_the_outcome_of_its_job(sweep: tuple[Any, Path]) -> None:
    _, folder = sweep
    job, result = read(folder / "0"), json.loads((folder / "0" / "result.json").read_text())
    for row in result["rows"]:
        for name in ("map", "drop", "distance"):
            assert job.summary[f"result/{row['direction']}/{row['query']}/{name}"] == row[name]
    assert job.summary["queries/spent_pairs"] == job.summary["queries/budget_pairs"] == 40
    assert job.config["data_hash"] == result["data"]["hash"]
    gallery = next(files for files in job.artifacts if "result/gallery.table.json" in files)
    assert len([name for name in gallery if name.endswith(".png")]) == 3 * 4
    assert all(file.read_bytes().startswith(b"\x89PNG") for name, file in gallery.items() if name.endswith(".png"))
    cells = json.loads(gallery["result/gallery.table.json"].read_text())
    moved = [row[cells["columns"].index("bits moved")] for row in cells["data"]]
    assert moved == sorted(moved)
    assert len(moved) == 4


def test_a_run_has_the_adversarial_queries_of_its_job_as_an_artifact(sweep: tuple[Any, Path]) -> None:
    _, folder = sweep
    job, saved = read(folder / "0"), folder / "0" / "adversarial"
    kept = next(files for files in job.artifacts if "manifest.json" in files)
    assert {name: file.read_bytes() for name, file in kept.items()} == {
        file.relative_to(saved).as_posix(): file.read_bytes() for file in saved.rglob("*.*")
    }
    assert len(kept) == 12 + 2


def test_the_terminal_stays_as_it_is_and_says_how_to_send_the_run(sweep: tuple[Any, Path]) -> None:
    run, folder = sweep
    assert run.errors == ""
    assert not re.search(r"wandb: |warning|login", run.output, re.IGNORECASE)
    for number in ("0", "1"):
        assert f"\nW&B:     wandb sync {run_files(folder / number)[0].parent}\n" in run.output


@pytest.fixture(scope="module")
def killed_and_again(tracked: Launcher, scenes: tuple[str, ...]) -> tuple[Any, Any]:
    """A job that is killed once its surrogate has finished an epoch, and the same command again."""
    command = (*scenes, *SHORT, "surrogate.epochs=60", OFFLINE)
    written = tracked.store("killed").glob
    killed = tracked.run_until(
        command, "killed", lambda: any(written("result/*.building/curves/surrogate.csv")), signal.SIGKILL
    )
    return killed, tracked.run("attack.py", command, "killed")


def test_a_killed_job_goes_on_as_the_same_run(tracked: Launcher, killed_and_again: tuple[Any, Any]) -> None:
    killed, again = killed_and_again
    assert killed.status == -signal.SIGKILL
    assert again.status == 0, again.output + again.errors
    (memory,) = tracked.store("killed").glob("result/*/run.json")
    (file,) = run_files(killed.folder)
    job = read(again.folder)
    assert job.run.run_id == json.loads(memory.read_text())["id"] == file.stem.removeprefix("run-")
    assert killed.folder != again.folder


def test_the_run_of_a_killed_job_has_the_curves_of_both_parts(killed_and_again: tuple[Any, Any]) -> None:
    killed, again = killed_and_again
    job, before = read(again.folder), losses(killed.folder, "surrogate")
    assert len(before) < 120
    curve = job.curve("surrogate/loss", "surrogate/step")
    assert [step for step, _ in curve] == list(range(120))
    assert curve[: len(before)] == before
    speeds = [step for step, _ in job.curve("surrogate/images_per_second", "surrogate/step")]
    assert len(speeds) in (59, 60)  # the kill may hit the moment between a checkpoint and what is measured after it
    assert speeds == sorted(set(speeds))
    assert [step for step, _ in job.curve("target/loss", "target/step")] == [0, 1]  # trained before the kill
    for stage, count in (("target", 2), ("surrogate", 120), ("attack/image", 3)):
        assert [step for step, _ in losses(again.folder, stage)] == list(range(count))
    assert [row["_step"] for row in job.history] == list(range(len(job.history)))


def test_without_a_key_the_online_logger_asks_nothing_and_starts_nothing(
    tracked: Launcher, scenes: tuple[str, ...]
) -> None:
    run = tracked.run_in_terminal("attack.py", (*scenes, "logger=wandb"), "keyless")
    assert run.status == 2
    text = " ".join(run.output.split())
    assert "logger=wandb needs an API key, and none is configured" in text
    assert "wandb login" in text
    assert "logger=wandb_offline" in text
    assert "Traceback" not in text
    assert not tracked.store("keyless").exists()


def test_a_trained_stage_is_a_run_of_its_own_kind(
    compose_toy: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_account(monkeypatch, tmp_path / "private")
    cli.train(compose_toy())
    cli.train(compose_toy("stage=surrogate", OFFLINE))  # finds the target
    job = read(tmp_path / "output")
    assert (job.run.job_type, job.run.display_name, job.exit_code) == ("surrogate", "M=30 seed=0", 0)
    assert set(job.axes.values()) - {""} == {"surrogate/step"}
    assert 0 <= job.summary["report/surrogate/bit_agreement_image"] <= 1
    assert job.summary["report/target/kept_epoch"] in (0, 1)
    cli.train(compose_toy("stage=surrogate", OFFLINE))  # finds both
    assert len(run_files(tmp_path)) == 1
    assert not list((tmp_path / "store").glob("train/*"))  # nothing is left to continue


def test_a_result_that_is_found_is_told_to_a_sweeps_agent_and_to_nobody_else(
    compose_toy: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_account(monkeypatch, tmp_path / "private")
    config = compose_toy(OFFLINE, "attack.modality=text", "evaluation.white_box=false")
    silent = compose_toy("attack.modality=text", "evaluation.white_box=false")
    cli.attack(silent)
    cli.attack(config)
    assert not run_files(tmp_path)
    monkeypatch.setenv("WANDB_SWEEP_ID", "s1")
    monkeypatch.setenv("WANDB_RUN_ID", "of-the-agent")
    wandb.teardown()  # an agent starts a new process
    cli.attack(config)
    job = read(tmp_path / "output")
    found = json.loads((tmp_path / "output" / "result.json").read_text())
    assert (job.run.run_id, job.run.sweep_id) == ("of-the-agent", "s1")
    assert job.summary["result/T2I/attack/map"] == found["rows"][2]["map"]
    assert job.summary["queries/spent_pairs"] == 30
