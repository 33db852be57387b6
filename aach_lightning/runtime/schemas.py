"""The typed configuration: what keys there are, their types, and their meaning. Values live in conf/."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from aach_lightning.runtime.choices import (
    LoggerName,
    Modality,
    NormName,
    Quantisation,
    Stage,
    StepName,
    TripletForm,
)
from aach_lightning.runtime.data_schemas import DATA_SCHEMAS, DataConfig
from aach_lightning.runtime.split_schemas import SplitConfig


@dataclass
class EncoderConfig:
    """One half of a HashingNetwork."""

    backbone: dict[str, Any] = MISSING  # _target_ and arguments of an nn.Module with an attribute `width`
    frozen: bool = False
    hidden: int = 0  # width of a hidden layer in the hash head, 0 for none
    dropout: float = 0.0  # in the hash head


@dataclass
class TargetConfig:
    """The system under attack."""

    name: str = MISSING
    code_length: int = MISSING  # K
    image_net: EncoderConfig = field(default_factory=EncoderConfig)
    text_net: EncoderConfig = field(default_factory=EncoderConfig)
    gamma: float = MISSING  # weight of quantisation
    eta: float = MISSING  # weight of bit balance
    image_lr: float = MISSING
    text_lr: float = MISSING
    batch_size: int = MISSING
    epochs: int = MISSING
    validation: int = MISSING  # most database rows outside train that measure MAP while training
    seed: int = MISSING


@dataclass
class BudgetConfig:
    """What the attacker may ask."""

    pairs: int = MISSING  # M


@dataclass
class MiningConfig:
    """How triplets are chosen."""

    _target_: str = MISSING


@dataclass
class GapMiningConfig(MiningConfig):
    """All triplets of a batch with a gap."""

    _target_: str = "aach_lightning.mining.miners.GapMiner"
    gap: int = MISSING  # bits


@dataclass
class RankMiningConfig(MiningConfig):
    """Nearest against farthest share of the ranking."""

    _target_: str = "aach_lightning.mining.miners.RankMiner"
    nearest: float = MISSING
    farthest: float = MISSING
    per_anchor: int = MISSING


@dataclass
class RandomMiningConfig(MiningConfig):
    """Random pairs, the nearer one positive."""

    _target_: str = "aach_lightning.mining.miners.RandomMiner"
    per_anchor: int = MISSING


@dataclass
class AugmentationConfig:
    """Random views of queried images; they cost no query. Needs image_net.frozen=false."""

    flip: bool = MISSING
    zoom: float = MISSING  # largest change of scale as a share of the side
    noise: float = MISSING  # largest sign noise, in 1/255


@dataclass
class SurrogateConfig:
    """The networks that learn to answer like the target."""

    image_net: EncoderConfig = field(default_factory=EncoderConfig)
    text_net: EncoderConfig = field(default_factory=EncoderConfig)
    loss: TripletForm = MISSING
    margin: float = MISSING  # beta, as a share of K
    triplet_weight: float = MISSING
    quantisation: Quantisation = MISSING
    quantisation_weight: float = MISSING
    image_lr: float = MISSING
    backbone_lr: float = MISSING
    text_lr: float = MISSING
    weight_decay: float = MISSING
    batch_size: int = MISSING
    epochs: int = MISSING
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)


@dataclass
class DiversityConfig:
    """Random resize and pad of attacked images."""

    probability: float = MISSING
    smallest: float = MISSING  # share of the side


@dataclass
class AttackConfig:
    """How delta is learned."""

    name: str = MISSING
    modality: Modality = MISSING
    epsilon: float = MISSING  # images, in 1/255
    text_epsilon: float = MISSING  # texts, in units of a text entry
    norm: NormName = MISSING
    step: StepName = MISSING
    steps: int = MISSING
    step_size: float = MISSING  # as a share of epsilon
    momentum: float = MISSING
    random_start: bool = MISSING
    positives: float = MISSING  # share of the M queried items
    negatives: float = MISSING  # share of the M queried items
    margin: float = MISSING  # as a share of K
    quantisation_weight: float = MISSING
    query_anchor: bool = MISSING  # rank by the target's own code of the attacked item: one query each
    diversity: DiversityConfig = field(default_factory=DiversityConfig)
    batch_size: int = MISSING


@dataclass
class EvaluationConfig:
    """What is measured."""

    queries: int = MISSING  # attacked queries, the first of the query part
    held_out: int = MISSING  # pairs on which surrogate and target are compared; never queried
    white_box: bool = MISSING  # measure the bound
    picture_rows: int = MISSING


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


def register_schemas() -> None:
    """Make the schemas known to Hydra under the names that conf/ uses."""
    store = ConfigStore.instance()
    store.store(name="schema", node=RunConfig)
    groups: dict[str, dict[str, type[Any]]] = {
        "data": dict(DATA_SCHEMAS),
        "mining": {"gap_schema": GapMiningConfig, "rank_schema": RankMiningConfig, "random_schema": RandomMiningConfig},
    }
    for group, nodes in groups.items():
        for name, node in nodes.items():
            store.store(group=group, name=name, node=node)
    OmegaConf.register_new_resolver("gpus_per_node", gpus_per_node, replace=True)


def gpus_per_node(accelerator: str, devices: int) -> int | None:
    """What to ask a cluster for, in conf/hydra/launcher: GPUs only where they are used."""
    return devices if accelerator in ("gpu", "cuda") else None
