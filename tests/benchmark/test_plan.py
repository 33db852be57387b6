from pathlib import Path

import pytest

from aach_lightning.benchmark.plan import chosen_methods, compose_job, load_plan, make_jobs
from aach_lightning.config.options import CONF
from aach_lightning.errors import ConfigError

PLANS = sorted(path.stem for path in (CONF / "benchmark").glob("*.yaml"))


def test_every_method_with_every_combination() -> None:
    methods = {"one": ["attack=aach"], "two": ["attack=hag", "attack.steps=5"]}
    jobs = make_jobs(methods, ["budget.pairs=20,40", "data=scenes", "seed=0,1", "attack.steps=7"])
    assert len(jobs) == 8
    assert jobs[3].method == "two"
    assert jobs[3].overrides == (
        "attack=hag",
        "attack.steps=5",
        "data=scenes",
        "attack.steps=7",
        "budget.pairs=20",
        "seed=1",
    )
    assert [job.setting for job in jobs] == [(("budget.pairs", "20"),)] * 4 + [(("budget.pairs", "40"),)] * 4
    assert [job.overrides[-1] for job in jobs] == ["seed=0", "seed=0", "seed=1", "seed=1"] * 2
    assert len({job.name for job in jobs}) == 8
    assert [job.name for job in make_jobs(methods, ["seed=0"])] == [job.name for job in make_jobs(methods, ["seed=0"])]


def test_ranges_and_choices_sweep_as_in_hydra() -> None:
    (job, other) = make_jobs({"one": []}, ["budget.pairs=range(10,30,10)", "data.name='a b'"])
    assert job.overrides == ("data.name='a b'", "budget.pairs=10")
    assert other.setting == (("budget.pairs", "20"),)
    assert [job.setting for job in make_jobs({"one": []}, ["a.b=choice(x,y)"])] == [(("a.b", "x"),), (("a.b", "y"),)]


@pytest.mark.parametrize("overrides", [["attack=hag"], ["a=b=c,"], ["budget.pairs=["]])
def test_what_cannot_be_meant_is_refused(overrides: list[str]) -> None:
    with pytest.raises(ConfigError):
        make_jobs({"one": []}, overrides)


@pytest.mark.parametrize("plan", PLANS)
def test_every_method_composes_and_the_first_brings_the_reference(plan: str, tmp_path: Path) -> None:
    methods = load_plan(plan)
    assert len(methods) > 3
    output = tmp_path / "it's"
    configs = [compose_job(job, output) for job in make_jobs(methods, ["data=scenes", "budget.pairs=400"])]
    assert {(config.paths.output, config.budget.pairs) for config in configs} == {(str(output), 400)}
    references = [
        config.evaluation.white_box and config.attack.source.value not in ("target", "queries") for config in configs
    ]
    assert references[0]
    assert not any(references[1:]) or plan == "ablation"
    assert configs[0].attack.norm.value == "linf"  # the noise of the table


def test_what_is_revealed_can_be_swept(tmp_path: Path) -> None:
    jobs = make_jobs(load_plan("answers"), ["answer=codes,ranks,topk", "answer.gallery=30", "answer.k=4"])
    found = [(dict(job.setting)["answer"], compose_job(job, tmp_path).answer) for job in jobs]
    assert [name for name, _ in found] == ["codes"] * 6 + ["ranks"] * 6 + ["topk"] * 6
    for name, answer in found:
        assert (answer.name.value, answer.gallery, answer.k) == (name, 30, 4)
    with pytest.raises(ConfigError, match="answer=ranks reveals none"):
        compose_job(make_jobs({"square": ["attack=square"]}, ["answer=ranks"])[0], tmp_path)


def test_a_plan_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("mine: [attack=aach, attack.steps=3]\n")
    assert load_plan(str(path)) == {"mine": ["attack=aach", "attack.steps=3"]}
    for bad in ("- a\n", "mine: attack=aach\n", "mine: [1]\n", "mine: {a: 1}\n", "a: [\n", "mine: ['${x}']\n"):
        path.write_text(bad)
        with pytest.raises(ConfigError, match="--plan="):
            load_plan(str(path))
    with pytest.raises(ConfigError, match=r"--plan=nowhere: must be one of .*methods"):
        load_plan("nowhere")


def test_some_methods() -> None:
    methods = {"a": ["x"], "b": ["y"], "c": ["z"]}
    assert list(chosen_methods(methods, "c, a")) == ["a", "c"]
    assert chosen_methods(methods, None) == methods
    with pytest.raises(ConfigError, match="--methods=d: must be of a, b, c"):
        chosen_methods(methods, "a,d")
