import pytest

from aach_lightning.benchmark.plan import load_plan
from aach_lightning.errors import DataError
from aach_lightning.reports.trust import trusted_overrides


def test_numbers_switches_and_listed_names_are_taken() -> None:
    plain = [
        *("data=scenes", "target/defence=jpeg", "image_net@target.image_net=small_cnn", "experiment=demo"),
        *("seed=1", "attack.epsilon=4.5", "evaluation.trace=[1,3]", "attack.query_anchor=true", "attack.queries=null"),
        *("surrogate.loss=nll", "attack.objective.form=nll", "attack.name=my-attack"),
    ]
    assert trusted_overrides(plain, ["data.pairs=9"]) == [*plain, "data.pairs=9"]


@pytest.mark.parametrize("plan", ["methods", "ablation", "answers"])
def test_every_method_of_every_plan_can_be_verified(plan: str) -> None:
    for overrides in load_plan(plan).values():
        assert trusted_overrides(overrides, []) == overrides


@pytest.mark.parametrize(
    "override",
    [
        *(
            "data.root=/elsewhere",
            "data.root=queries",
            "target.service.url=http://somewhere",
            "target=../x",
            "target=mine",
        ),
        *("surrogate._target_=os.system", "attack.objective._target_=1", "seed=${oc.env:HOME}", "data.name='${seed}'"),
        *(
            "~attack",
            "+attack.note=1",
            "++data.x=1",
            "seed=1,2",
            "evaluation.trace=[1,/x]",
            "attack.name=../x",
            "data={a:1}",
        ),
    ],
)
def test_anything_else_is_refused_and_named(override: str) -> None:
    with pytest.raises(DataError, match="not taken from a card: "):
        trusted_overrides(["seed=1", override], [])


def test_where_files_lie_is_the_persons_own() -> None:
    theirs = ["paths.store=/theirs", "logger=wandb", "data.root=/theirs", "hydra.run.dir=/theirs", "seed=1"]
    assert trusted_overrides(theirs, ["data.root=/mine"]) == ["seed=1", "data.root=/mine"]


def test_what_is_no_override_is_refused() -> None:
    with pytest.raises(DataError, match="cannot be read"):
        trusted_overrides(["a=["], [])
