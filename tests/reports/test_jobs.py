import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from aach_lightning.evaluation.result import Result
from aach_lightning.reports.collect import collect
from aach_lightning.reports.jobs import NEVER_STARTED, MissingJob

Make = Callable[..., Result]
Write = Callable[..., None]
TRACE = "Traceback (most recent call last):\n  File ...\nConfigError: budget.pairs=900: must be at most 130\n\n"


def missing(folder: Path) -> list[MissingJob]:
    return sorted(collect(folder).missing, key=lambda found: (found.folder, found.overrides))


def test_failed_unfinished_and_finished_jobs(tmp_path: Path, run: Make, job: Write) -> None:
    job(tmp_path / "0", ["seed=0"])
    run().save(tmp_path / "0" / "result.json")
    job(tmp_path / "1", ["seed=1", "budget.pairs=900"], config={"seed": 1}, error=TRACE)
    job(tmp_path / "2", ["seed=2"], config={"seed": 2})
    assert missing(tmp_path) == [
        MissingJob(
            tmp_path / "1", ("seed=1", "budget.pairs=900"), "ConfigError: budget.pairs=900: must be at most 130"
        ),
        MissingJob(tmp_path / "2", ("seed=2",), "unfinished"),
    ]


def test_jobs_stand_in_the_order_of_their_numbers(tmp_path: Path, run: Make, job: Write) -> None:
    for number in range(12):
        job(tmp_path / str(number), [f"seed={number}"], config={"seed": number})
        if number % 2:
            run(seed=number).save(tmp_path / str(number) / "result.json")
    found = collect(tmp_path)
    assert [job.folder.name for job in found.missing] == ["0", "2", "4", "6", "8", "10"]
    assert found.frame["seed"].tolist() == [1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "failed, but error.txt is empty"),
        ("\n \n", "failed, but error.txt is empty"),
        ("x" * 10_000 + "\r\nValueError: last\r\n", "ValueError: last"),
        ("StoreError: kein Platz für 写真", "StoreError: kein Platz für 写真"),
    ],
)
def test_the_last_line_of_an_error(tmp_path: Path, job: Write, text: str, reason: str) -> None:
    job(tmp_path / "0", [], error=text)
    assert [found.reason for found in missing(tmp_path)] == [reason]


def test_training_writes_no_result_and_misses_none(tmp_path: Path, job: Write) -> None:
    job(tmp_path / "0", [], config_name="train")
    assert missing(tmp_path) == []


def test_a_job_that_succeeded_elsewhere_is_not_missing(tmp_path: Path, run: Make, job: Write) -> None:
    done = run(seed=4)
    done.save(tmp_path / "second" / "0" / "result.json")
    job(tmp_path / "first" / "0", ["seed=4"], config=done.config, error=TRACE)
    assert missing(tmp_path) == []
    job(tmp_path / "first" / "2", ["seed=4"], config={**done.config, "logger": {"name": "csv"}, "trainer": {}})
    assert missing(tmp_path) == []
    other = copy.deepcopy(done.config)
    other["attack"]["epsilon"] = 9.0
    job(tmp_path / "first" / "1", ["seed=4"], config=other, error=TRACE)
    assert [found.folder.name for found in missing(tmp_path)] == ["1"]


def test_a_damaged_result_is_skipped_and_its_job_is_not_listed_too(tmp_path: Path, job: Write) -> None:
    job(tmp_path / "0", ["seed=0"])
    (tmp_path / "0" / "result.json").write_text("{")
    found = collect(tmp_path)
    assert len(found.skipped) == 1
    assert found.missing == ()


@pytest.mark.parametrize("name", ["config.yaml", "overrides.yaml", "hydra.yaml"])
@pytest.mark.parametrize("content", [b"", b"a: [", b"\xff\xfe", b"- 1\n- 2", b"just text", b"a: ${b}\n"])
def test_damaged_files_of_hydra(tmp_path: Path, job: Write, name: str, content: bytes) -> None:
    job(tmp_path / "0", ["seed=0"])
    (tmp_path / "0" / ".hydra" / name).write_bytes(content)
    assert [found.reason for found in missing(tmp_path)] == ["unfinished"]
    (tmp_path / "0" / ".hydra" / name).unlink()
    assert [found.reason for found in missing(tmp_path)] == ["unfinished"]


def test_jobs_that_a_stopped_sweep_never_started(tmp_path: Path, run: Make, job: Write, sweep: Write) -> None:
    sweep(tmp_path, ["seed=0,1", "+attack.note='a b'", "budget.pairs=choice(20,40)", "attack.steps=range(1,3)"])
    constant = "+attack.note='a b'"
    for number, (seed, pairs, steps) in enumerate([(0, 20, 1), (0, 20, 2), (0, 40, 1)]):
        folder = tmp_path / str(number)
        job(folder, [f"seed={seed}", constant, f"budget.pairs={pairs}", f"attack.steps={steps}"], config={"n": number})
        if number < 2:
            run(seed=seed, budget__pairs=pairs, attack__steps=steps).save(folder / "result.json")
    expected = [(0, 40, 2), (1, 20, 1), (1, 20, 2), (1, 40, 1), (1, 40, 2)]
    assert missing(tmp_path) == [
        *(
            MissingJob(tmp_path, (f"seed={seed}", f"budget.pairs={pairs}", f"attack.steps={steps}"), NEVER_STARTED)
            for seed, pairs, steps in expected
        ),
        MissingJob(tmp_path / "2", ("seed=0", "budget.pairs=40", "attack.steps=1"), "unfinished"),
    ]


def test_jobs_that_a_second_sweep_started(tmp_path: Path, run: Make, job: Write, sweep: Write) -> None:
    for name, seeds in (("first", (0,)), ("second", (0, 1))):
        sweep(tmp_path / name, ["seed=0,1,2", "attack.steps=5"])
        for seed in seeds:
            job(tmp_path / name / str(seed), [f"seed={seed}", "attack.steps=5"])
            run(seed=seed).save(tmp_path / name / str(seed) / "result.json")
    found = missing(tmp_path)
    assert [(job.folder.name, job.overrides) for job in found] == [("first", ("seed=2",)), ("second", ("seed=2",))]


def test_jobs_in_deeper_folders_and_behind_links(tmp_path: Path, run: Make, job: Write, sweep: Write) -> None:
    sweep(tmp_path / "long name", ["seed=0,1"])
    job(tmp_path / "long name" / "scenes" / "seed=0", ["seed=0"], config={"seed": 0})
    job(tmp_path / "long name" / "scenes" / "seed=1", ["seed=1"], config={"seed": 1})
    (tmp_path / "link").symlink_to(tmp_path / "long name" / "scenes" / "seed=1")
    run().save(tmp_path / "long name" / "scenes" / "seed=0" / "result.json")
    assert [(job.folder.name, job.reason) for job in missing(tmp_path)] == [("link", "unfinished")]


@pytest.mark.parametrize(
    ("task", "sweeper"),
    [
        (["seed=0,1"], "optuna.OptunaSweeper"),
        (["target=glob(*)"], "basic_sweeper.BasicSweeper"),
        (["seed=interval(0,1)"], "basic_sweeper.BasicSweeper"),
        (["seed=[0,"], "basic_sweeper.BasicSweeper"),
    ],
)
def test_sweeps_whose_jobs_cannot_be_told(tmp_path: Path, sweep: Write, task: list[str], sweeper: str) -> None:
    sweep(tmp_path, task, sweeper)
    assert missing(tmp_path) == []


def test_keys_that_the_configuration_sweeps_over(tmp_path: Path, sweep: Write) -> None:
    sweep(tmp_path, ["seed=0"], params={"budget.pairs": "20,40", "seed": "7,8"})
    expected = [("budget.pairs=20",), ("budget.pairs=40",)]  # the command line wins over params, as in Hydra
    assert [found.overrides for found in missing(tmp_path)] == expected


@pytest.mark.parametrize(
    "content", [b"", b"a: [", b"- 1", b"hydra: 3", b"hydra: {sweeper: {_target_: x.BasicSweeper}}"]
)
def test_damaged_descriptions_of_sweeps(tmp_path: Path, job: Write, content: bytes) -> None:
    job(tmp_path / "0", ["seed=0"])
    (tmp_path / "multirun.yaml").write_bytes(content)
    assert [found.reason for found in missing(tmp_path)] == ["unfinished"]


def test_the_same_jobs_as_hydra_plans(tmp_path: Path, sweep: Write) -> None:
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    task = ["seed=0,1,2", "a=range(0,3)", "~b", "+c={x:1}", "++d=[1,2],[3]", "e='x,y',z", "f@g=h,i", "seed=5,6"]
    sweep(tmp_path, task)
    (jobs,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(task), None)
    shared = set.intersection(*map(set, jobs))
    expected = [tuple(override for override in job if override not in shared) for job in jobs]
    assert [found.overrides for found in collect(tmp_path).missing] == expected
    assert len(expected) == 2 * 3 * 2 * 2 * 2
