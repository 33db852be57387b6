import signal
from typing import Any

import pytest
from safetensors.numpy import load_file

pytestmark = pytest.mark.timeout(600)

# Long enough to be hit in the middle, and several batches of crafting in each direction.
LONGER = ("surrogate.epochs=60", "attack.steps=100", "attack.batch_size=3", "evaluation.white_box=false")


@pytest.fixture(scope="module")
def command(scenes: tuple[str, ...]) -> tuple[str, ...]:
    return (*scenes, *LONGER)


@pytest.fixture(scope="module")
def stores(launcher: Any, first: Any) -> None:
    """Two stores that hold the same target and nothing else of this command."""
    assert first.status == 0
    for name in ("whole", "broken"):
        launcher.copy_target("first", name)


@pytest.fixture(scope="module")
def whole(launcher: Any, stores: None, command: tuple[str, ...]) -> Any:
    return launcher.run("attack.py", command, "whole")


@pytest.fixture(scope="module")
def interrupted(launcher: Any, stores: None, command: tuple[str, ...]) -> Any:
    """Ctrl-C once the surrogate has finished an epoch; the checkpoint that was then there."""
    store = launcher.store("broken")
    run = launcher.run_until(
        command, "broken", lambda: any(store.glob("surrogate/*.building/checkpoints/last.ckpt")), signal.SIGINT
    )
    return run, list(store.glob("surrogate/*.building/checkpoints/last.ckpt"))


@pytest.fixture(scope="module")
def killed(launcher: Any, interrupted: Any, command: tuple[str, ...]) -> Any:
    """The same command again, killed once a batch of deltas lies on the disk."""
    store = launcher.store("broken")
    run = launcher.run_until(
        command, "broken", lambda: any(store.glob("attack/*.building/batch-*.safetensors")), signal.SIGKILL
    )
    return run, list(store.glob("attack/*.building/batch-*.safetensors"))


@pytest.fixture(scope="module")
def rerun(launcher: Any, killed: Any, command: tuple[str, ...]) -> Any:
    return launcher.run("attack.py", command, "broken")


def test_the_uninterrupted_run(whole: Any) -> None:
    assert whole.status == 0, whole.errors


def test_ctrl_c_ends_with_130_and_a_message(interrupted: Any) -> None:
    run, left = interrupted
    assert run.status == 130, run.output + run.errors
    assert "interrupted" in run.errors
    assert "run the same command again to continue" in " ".join(run.errors.split())
    assert "Traceback" not in run.output + run.errors
    assert left  # what was trained so far
    assert not (run.folder / "result.json").exists()


def test_the_kill_hit_crafting(killed: Any) -> None:
    run, left = killed
    assert run.status == -signal.SIGKILL, run.output + run.errors
    assert 1 <= len(left) < 4
    assert "continuing after epoch" in run.output  # of the surrogate that Ctrl-C had left


def test_the_rerun_ends_as_the_uninterrupted_run(whole: Any, rerun: Any, killed: Any, launcher: Any) -> None:
    assert rerun.status == 0, rerun.errors
    assert rerun.lasting == whole.lasting
    assert rerun.result["queries"]["spent_pairs"] == 40
    assert "continuing the unfinished build" in rerun.output
    broken, unbroken = launcher.store("broken"), launcher.store("whole")
    files = sorted(path.relative_to(unbroken) for path in unbroken.glob("*/*/*.safetensors"))
    assert [path.parts[0] for path in files].count("attack") == 2
    assert files == sorted(path.relative_to(broken) for path in broken.glob("*/*/*.safetensors"))
    for file in files:
        expected, found = load_file(unbroken / file), load_file(broken / file)
        assert set(expected) == set(found)
        for name, values in expected.items():
            assert found[name].tobytes() == values.tobytes(), f"{file}: {name}"
    assert not list(broken.glob("*/*.building"))
