"""Typed configuration of networks and of the system under attack."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


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
