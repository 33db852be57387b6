from collections.abc import Callable
from dataclasses import asdict, fields
from itertools import chain
from typing import Any

import pytest

from aach_lightning import cli
from aach_lightning.attacks.source import BOUND_KEYS, DELTA_KEYS
from aach_lightning.config.attack import AttackConfig
from aach_lightning.config.method import CheckpointConfig
from aach_lightning.config.schema import RunConfig
from aach_lightning.config.target import TargetConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.runtime.depends import named
from aach_lightning.targets import training
from aach_lightning.zoo import checkpoint_deployment

# whose gradients are followed, and what is aimed at, count by their weights and codes; a search names its own keys
ELSEWHERE = {"name", "source", "bank", "modality", "universal", "target_label", "target_item", "search", "queries"}
# a block of the configuration, the keys of it that a stage names, and those that count otherwise or not at all
BLOCKS: dict[str, tuple[type[Any], tuple[str, ...], set[str]]] = {
    "result": (RunConfig, cli.COUNTED, {"data", "split", "answer", "trainer", "stage", "logger", "paths"}),
    "attack": (AttackConfig, (*DELTA_KEYS, *chain(*BOUND_KEYS.values())), ELSEWHERE),
    "target": (TargetConfig, training.TRAINED, {"defence", "adversarial"}),
    "checkpoint": (CheckpointConfig, checkpoint_deployment.READ, {"image_file", "largest_mib"}),
}


def test_named_keys_are_nested_as_in_the_configuration(toy_config: RunConfig) -> None:
    found = named(toy_config, "seed", "attack.epsilon", "attack.gradient.diversity", "budget")
    diversity = asdict(toy_config.attack.gradient.diversity)
    assert found == {
        "seed": toy_config.seed,
        "attack": {"epsilon": toy_config.attack.epsilon, "gradient": {"diversity": diversity}},
        "budget": asdict(toy_config.budget),
    }
    with pytest.raises(KeyError):
        named(toy_config, "attack.epsilom")


@pytest.mark.parametrize("block", BLOCKS)
def test_every_key_is_named_by_a_stage_or_listed_as_counting_otherwise(block: str) -> None:
    schema, keys, otherwise = BLOCKS[block]
    assert sorted([*keys, *otherwise]) == sorted(field.name for field in fields(schema))


def test_hardware_logger_and_paths_change_no_result(toy_experiment: Callable[..., Experiment]) -> None:
    def key(*overrides: str) -> dict[str, Any]:
        here = toy_experiment(*overrides)
        return cli._depends_on(here, cli.deployment_of(here))

    same = ("trainer.devices=2", "logger=csv", "paths.output=elsewhere", "stage=surrogate", "answer.gallery=7")
    assert key(*same) == key()
    for change in ("seed=1", "target.seed=1", "mining.gap=3", "surrogate.epochs=3", "attack.steps=4", "answer=ranks"):
        assert key(change) != key(), change
    assert key("trainer.precision=bf16-true") != key()
