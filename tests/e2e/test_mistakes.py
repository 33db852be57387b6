import re
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(400)

CASES: dict[str, tuple[tuple[str, ...], str]] = {
    "budget": (("budget.pairs=81",), r"budget\.pairs=81: .*at most split\.train=80"),
    "epsilon": (("attack.epsilon=0",), r"attack\.epsilon=0\.0: must be greater than 0"),
    "target": (("target.name=nope",), r"target\.name=nope: must be one of acmr, .*dcmh"),
    "all at once": (
        ("attack.epsilon=-1", "split.query=0", "target.code_length=0"),
        r"(?s)split\.query=0.*target\.code_length=0.*attack\.epsilon=-1",
    ),
    "backbone": (("target.image_net.backbone._target_=os.system",), r"_target_=os\.system is not allowed"),
    "miner": (("mining._target_=builtins.eval",), r"_target_=builtins\.eval is not allowed"),
    "data": (("data._target_=subprocess.call",), r"_target_=subprocess\.call is not allowed"),
    "behind a module": (
        ("target.image_net.backbone._target_=aach_lightning.runtime.files.os.system",),
        r"_target_=aach_lightning\.runtime\.files\.os\.system",
    ),
}


@pytest.fixture(scope="module")
def mistakes(launcher: Any, first: Any, scenes: tuple[str, ...], small: tuple[str, ...]) -> dict[str, Any]:
    assert first.status == 0
    for name in ("damaged", "shorter"):
        launcher.copy_target("first", name)
        (file,) = launcher.store(name).glob("target/*/network.safetensors")
        content = file.read_bytes()
        # once shorter, once of the right length with other bytes at its head
        file.write_bytes(content[: len(content) // 2] if name == "shorter" else b"\xff" * 64 + content[64:])
    commands: dict[str, tuple[str, tuple[str, ...], str]] = {
        name: ("attack.py", (*scenes, *arguments), "mistakes") for name, (arguments, _) in CASES.items()
    }
    commands["root"] = ("attack.py", (*small, "data=pairs", "data.root=nowhere/at/all"), "mistakes")
    commands["shorter"] = ("attack.py", scenes, "shorter")
    commands["damaged"] = ("attack.py", scenes, "damaged")
    return dict(zip(commands, launcher.run_forked(list(commands.values())), strict=True))


def check(run: Any, message: str) -> None:
    assert run.status == 2, run.output + run.errors
    assert re.search(message, run.errors), run.errors
    assert "Traceback" not in run.output + run.errors
    assert not (run.folder / "result.json").exists()


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_value_is_named_with_its_key(mistakes: dict[str, Any], name: str) -> None:
    check(mistakes[name], CASES[name][1])


def test_nothing_is_built_from_a_wrong_configuration(mistakes: dict[str, Any], launcher: Any) -> None:
    # a wrong miner is seen when the surrogate starts, behind a target that was right
    assert {path.parts[-3] for path in launcher.store("mistakes").glob("*/*/artifact.json")} <= {"target"}
    assert not list(launcher.store("mistakes").glob("attack/*"))


def test_missing_data(mistakes: dict[str, Any]) -> None:
    check(mistakes["root"], r"data\.root=nowhere/at/all: must be an existing folder with a pairs\.csv")


@pytest.mark.parametrize("name", ["shorter", "damaged"])
def test_an_unreadable_artifact_is_named(mistakes: dict[str, Any], launcher: Any, name: str) -> None:
    (file,) = launcher.store(name).glob("target/*/network.safetensors")
    check(mistakes[name], re.escape(str(file)))


def test_an_unknown_key_is_hydras_own_error(launcher: Any, scenes: tuple[str, ...]) -> None:
    run = launcher.run("attack.py", (*scenes, "attack.epsilom=4"), "mistakes")
    assert run.status != 0
    assert "epsilom" in run.errors
    assert "Traceback" not in run.errors
