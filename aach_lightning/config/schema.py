"""The typed configuration: what keys there are, their types, and their meaning. Values live in conf/."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from aach_lightning.config.answer import AnswerConfig
from aach_lightning.config.attack import OBJECTIVE_SCHEMAS, STEP_SCHEMAS, AttackConfig
from aach_lightning.config.choices import LoggerName, Stage
from aach_lightning.config.data import DATA_SCHEMAS, DataConfig
from aach_lightning.config.method import METHOD_SCHEMAS
from aach_lightning.config.options import choices
from aach_lightning.config.search import SEARCH_SCHEMAS
from aach_lightning.config.split import SplitConfig
from aach_lightning.config.surrogate import MINING_SCHEMAS, BudgetConfig, MiningConfig, SurrogateConfig
from aach_lightning.config.target import ADVERSARIAL_SCHEMAS, DEFENCE_SCHEMAS, TargetConfig


@dataclass
class EvaluationConfig:
    """What is measured."""

    queries: int = MISSING  # attacked queries, the first of the query part
    held_out: int = MISSING  # pairs on which surrogate and target are compared; never queried
    white_box: bool = MISSING  # measure the bound
    picture_rows: int = MISSING
    save_adversarial: bool = MISSING  # the attacked queries as PNG files and texts, beside the result
    trace: list[int] = MISSING  # numbers of steps after which the attack is measured too


@dataclass
class TrainerConfig:
    """Hardware."""

    accelerator: str = MISSING
    devices: int = MISSING  # of each machine, one process a device
    num_nodes: int = MISSING  # machines
    precision: str = MISSING
    deterministic: bool = MISSING


@dataclass
class LoggerConfig:
    """Experiment tracking."""

    name: LoggerName = MISSING
    project: str = "aach_lightning"


@dataclass
class PathsConfig:
    """Folders."""

    store: str = MISSING  # finished stages, shared by all runs
    cache: str = MISSING  # decoded images, shared by all runs
    output: str = MISSING  # this run


@dataclass
class RunConfig:
    """Everything."""

    seed: int = MISSING
    stage: Stage = Stage.target  # train.py only
    data: DataConfig = field(default_factory=DataConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    target: TargetConfig = field(default_factory=TargetConfig)
    answer: AnswerConfig = field(default_factory=AnswerConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    mining: MiningConfig = field(default_factory=MiningConfig)
    surrogate: SurrogateConfig = field(default_factory=SurrogateConfig)
    attack: AttackConfig = field(default_factory=AttackConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)


def if_null(value: Any, first: Any, second: Any) -> Any:
    """`${if_null:value,first,second}` in conf/: first where value is null, else second."""
    return first if value is None else second


# here and not below: the processes of a launcher import this file, but nobody calls anything in it there
OmegaConf.register_new_resolver("if_null", if_null, replace=True)
OmegaConf.register_new_resolver("choices", choices, replace=True)


def register_schemas() -> None:
    """Make the schemas known to Hydra under the names that conf/ uses."""
    store = ConfigStore.instance()
    store.store(name="schema", node=RunConfig)
    groups: dict[str, dict[str, type[Any]]] = {
        "attack/objective": dict(OBJECTIVE_SCHEMAS),
        "attack/step": dict(STEP_SCHEMAS),
        "data": dict(DATA_SCHEMAS),
        "mining": dict(MINING_SCHEMAS),
        "attack/search": dict(SEARCH_SCHEMAS),
        "target/adversarial": dict(ADVERSARIAL_SCHEMAS),
        "target/defence": dict(DEFENCE_SCHEMAS),
        "target/method": dict(METHOD_SCHEMAS),
    }
    for group, nodes in groups.items():
        for name, node in nodes.items():
            store.store(group=group, name=name, node=node)
    OmegaConf.register_new_resolver("gpus_per_node", gpus_per_node, replace=True)


def gpus_per_node(accelerator: str, devices: int) -> int | None:
    """What to ask a cluster for, in conf/hydra/launcher: GPUs only where they are used."""
    return devices if accelerator in ("gpu", "cuda") else None
