import shutil
from pathlib import Path
from typing import Any

import pytest

from aach_lightning.reports.collect import collect

pytestmark = pytest.mark.timeout(400)


def test_a_run_and_what_hydra_leaves_of_one_that_failed(first: Any, launcher: Any, tmp_path: Path) -> None:
    """What attack.py writes is what is read, down to the configuration that tells a repeated job from a missing one."""
    shutil.copytree(first.folder, tmp_path / "done")
    shutil.copytree(first.folder, tmp_path / "failed")
    (tmp_path / "failed" / "result.json").unlink()
    (tmp_path / "failed" / "error.txt").write_text("Traceback\nDataError: it failed\n")
    found = collect(tmp_path)
    assert (found.skipped, found.missing) == ((), ())  # the same configuration has a result
    content = first.result
    assert found.frame["map"].tolist() == [row["map"] for row in content["rows"]]
    assert found.frame["seconds.target"].unique().tolist() == [content["stages"]["target"]["seconds"]]
    only_of_some = ["share_of_white_box", "psnr", "ssim", "protocol", "words", "targeted_map"]
    present = found.frame[found.frame["direction"] == "I2T"].drop(columns=only_of_some)
    assert present.notna().all(axis=None)
    other = next(tmp_path.glob("failed/.hydra/config.yaml"))
    other.write_text(other.read_text().replace("epsilon: 8.0", "epsilon: 9.0"))
    (job,) = collect(tmp_path).missing
    assert (job.folder, job.reason) == (tmp_path / "failed", "DataError: it failed")
    assert set(job.overrides) >= {"budget.pairs=40", "target.epochs=2"}


def test_a_trained_target_is_no_missing_result(launcher: Any, first: Any, scenes: tuple[str, ...]) -> None:
    trained = launcher.run("train.py", (*scenes, "stage=target"), "first")
    assert trained.status == 0
    assert (trained.folder / ".hydra" / "config.yaml").exists()
    assert collect(trained.folder).missing == ()


def test_a_sweep(launcher: Any, first: Any, scenes: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    ended = launcher.run("attack.py", ("-m", *scenes, "attack.epsilon=4,-1,8", f"hydra.sweep.dir={folder}"), "first")
    assert ended.status != 0
    found = collect(folder)
    assert (len(found.configs), found.skipped) == (2, ())
    assert found.frame["config.attack.epsilon"].unique().tolist() == [4.0, 8.0]
    (job,) = found.missing
    assert (job.folder, job.overrides) == (folder / "1", ("attack.epsilon=-1",))
    assert "attack.epsilon" in job.reason
    shutil.rmtree(folder / "2")
    reasons = {job.overrides: job.reason for job in collect(folder).missing}
    assert reasons == {("attack.epsilon=-1",): job.reason, ("attack.epsilon=8",): "never started"}


def test_the_store_and_the_run_hold_the_same_result(launcher: Any, first: Any, tmp_path: Path) -> None:
    shutil.copytree(first.folder, tmp_path / "run")
    shutil.copytree(launcher.store("first") / "result", tmp_path / "store" / "result")
    stored = list((tmp_path / "store" / "result").glob("*/result.json"))
    found = collect(tmp_path)
    assert len(found.configs) == len(stored) >= 1
    assert (len(found.repeated), found.contradictions, found.skipped) == (1, (), ())
