"""The whole configuration of a run, and what Hydra has to know of it."""

import textwrap
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from aach_lightning.config.answer import ANSWERS, AnswerConfig
from aach_lightning.config.attack import OBJECTIVES, STEPS, AttackConfig, GradientConfig
from aach_lightning.config.choices import LoggerName, Stage
from aach_lightning.config.data import DATA, DataConfig
from aach_lightning.config.method import METHODS
from aach_lightning.config.option import NOT_NEGATIVE, POSITIVE, SEED, Limits, option, options
from aach_lightning.config.options import CONF
from aach_lightning.config.search import SEARCHES
from aach_lightning.config.split import SplitConfig
from aach_lightning.config.surrogate import MINING, BudgetConfig, MiningConfig, SurrogateConfig
from aach_lightning.config.target import DEFENCES, HARDENINGS, TargetConfig

INDENT, WIDTH = 27, 90  # of the column of choices in conf/hydra/default.yaml
ACCELERATORS = frozenset({"cpu", "gpu", "cuda", "mps", "tpu", "hpu", "auto"})
PRECISIONS = frozenset(
    {"32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true", "64", "32", "16", "bf16"}
)


@dataclass
class EvaluationConfig:
    """What is measured."""

    queries: int = option(200, "attacked queries, the first of the query part", POSITIVE)
    held_out: int = option(500, "pairs on which surrogate and target are compared; never queried", NOT_NEGATIVE)
    white_box: bool = option(True, "measure the bound: the same attack with the target's own gradients")
    picture_rows: int = option(4, "attacked queries in attack.png", POSITIVE)
    save_adversarial: bool = option(False, "the attacked queries as PNG files and texts, beside the result")
    trace: list[int] = option(
        list, "steps after which the attack is measured too, as [1,3,10]; each costs so many steps"
    )


@dataclass
class TrainerConfig:
    """One process on the CPU."""

    accelerator: str = option("cpu", "of networks", ACCELERATORS)
    devices: int = option(1, "of each machine, one process a device: CPU cores or GPUs", Limits(above=0, at_most=1024))
    num_nodes: int = option(1, "machines", Limits(above=0, at_most=1024))
    precision: str = option("32-true", "bf16-mixed trains in bfloat16", PRECISIONS)
    deterministic: bool = option(True, "the same figures from the same seed")


@dataclass
class LoggerConfig:
    """Experiment tracking."""

    name: LoggerName = option(LoggerName.none, "where training curves go")
    project: str = option("aach_lightning", "of Weights & Biases")


@dataclass
class PathsConfig:
    """Folders."""

    store: str = option("${oc.env:AACH_STORE,outputs/store}", "finished stages, shared by all runs")
    cache: str = option("${oc.env:AACH_CACHE,outputs/cache}", "decoded images, shared by all runs")
    output: str = option("${hydra:runtime.output_dir}", "of this run")


@dataclass
class RunConfig:
    """Everything."""

    seed: int = option(0, "of the attacker: which pairs are sent, how surrogates start", SEED)
    stage: Stage = option(Stage.target, "of train.py: what it builds")
    data: DataConfig = option(DataConfig, "what is retrieved")
    split: SplitConfig = option(SplitConfig, "which pairs are query, train and database")
    target: TargetConfig = option(TargetConfig, "the system under attack")
    answer: AnswerConfig = option(AnswerConfig, "what it reveals")
    budget: BudgetConfig = option(BudgetConfig, "how much an attacker may ask")
    mining: MiningConfig = option(MiningConfig, "codes to triplets")
    surrogate: SurrogateConfig = option(SurrogateConfig, "what learns from them")
    attack: AttackConfig = option(AttackConfig, "the method")
    evaluation: EvaluationConfig = option(EvaluationConfig, "what is measured")
    trainer: TrainerConfig = option(TrainerConfig, "hardware")
    logger: LoggerConfig = option(LoggerConfig, "where curves go")
    paths: PathsConfig = option(PathsConfig, "folders")


CHOICES: dict[str, dict[str, Any]] = {
    "data": DATA,
    "target/method": dict(METHODS),
    # a target that is trained as most are; the others are files of conf/target
    "target": {
        name: {"defaults": [{"method": name}, "_self_"], "name": name}
        for name in METHODS
        if not (CONF / "target" / f"{name}.yaml").exists()
    },
    "target/adversarial": dict(HARDENINGS),
    "target/defence": dict(DEFENCES),
    "answer": dict(ANSWERS),
    "budget": {"pairs": BudgetConfig},
    "mining": MINING,
    "surrogate": {"default": SurrogateConfig},
    "attack/objective": dict(OBJECTIVES),
    "attack/step": dict(STEPS),
    "attack/gradient": {"plain": GradientConfig},
    "attack/search": dict(SEARCHES),
    "trainer": {"cpu": TrainerConfig, "ddp": TrainerConfig(devices=2), "gpu": TrainerConfig(accelerator="gpu")},
    "logger": {name.value: LoggerConfig(name=name) for name in LoggerName},
    "paths": {"default": PathsConfig},
}
"""Group to choice to its keys; choices that set several keys of a class, or keys of several, are files of conf/."""


def names(group: str) -> list[str]:
    """Names of the choices of a group.

    Example:
        >>> names("attack/step")
        ['adam', 'sign']
    """
    return sorted({*CHOICES.get(group, {}), *(file.stem for file in (CONF / group).glob("*.yaml"))})


def choices(group: str) -> str:
    """The same in lines of the help text: `${choices:group}` in conf/hydra/default.yaml."""
    return ("\n" + INDENT * " ").join(textwrap.wrap(", ".join(names(group)), WIDTH))


def help_of(key: str) -> str:
    """The line of help of a key: `${help:key}` in conf/hydra/default.yaml.

    Example:
        >>> help_of("target.defence")
        'what happens to its images'
    """
    config: Any = RunConfig
    for part in key.split("."):
        found = {one.name: one for one in options(config)}[part]
        config = found.type
    return found.help


def if_null(value: Any, first: Any, second: Any) -> Any:
    """`${if_null:value,first,second}` in conf/: first where value is null, else second."""
    return first if value is None else second


def gpus_per_node(accelerator: str, devices: int) -> int | None:
    """What to ask a cluster for, in conf/hydra/launcher: GPUs only where they are used."""
    return devices if accelerator in ("gpu", "cuda") else None


# here and not below: the processes of a launcher import this file, but nobody calls anything in it there
for resolver in (if_null, choices, gpus_per_node):
    OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
OmegaConf.register_new_resolver("help", help_of, replace=True)


def register_schemas() -> None:
    """Make keys and choices known to Hydra."""
    store = ConfigStore.instance()
    store.store(name="schema", node=RunConfig)
    for group, nodes in CHOICES.items():
        for name, node in nodes.items():
            store.store(group=group, name=name, node=node)
