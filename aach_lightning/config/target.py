"""Typed configuration of networks and of the system under attack."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from aach_lightning.config.choices import AdversarialMethod
from aach_lightning.config.method import MethodConfig


@dataclass
class EncoderConfig:
    """One half of a HashingNetwork."""

    backbone: dict[str, Any] = MISSING  # _target_ and arguments of an nn.Module with an attribute `width`
    frozen: bool = False
    hidden: int = 0  # width of a hidden layer in the hash head, 0 for none
    dropout: float = 0.0  # in the hash head
    refined: bool = False  # hash only what both modalities have in common of the features, as CPAH does


@dataclass
class DefenceConfig:
    """What happens to each image before the deployed target sees it."""

    _target_: str = MISSING


@dataclass
class NoDefenceConfig(DefenceConfig):
    """Nothing."""

    _target_: str = "torch.nn.Identity"


@dataclass
class JPEGConfig(DefenceConfig):
    """JPEG re-encoding."""

    _target_: str = "aach_lightning.networks.defences.jpeg.JPEG"
    quality: int = MISSING  # 1 to 95


@dataclass
class BitDepthConfig(DefenceConfig):
    """Fewer levels a channel."""

    _target_: str = "aach_lightning.networks.defences.bit_depth.BitDepth"
    bits: int = MISSING  # 1 to 8


@dataclass
class ResizeConfig(DefenceConfig):
    """Random resizing and padding."""

    _target_: str = "aach_lightning.networks.defences.resize.RandomResize"
    smallest: float = MISSING  # share of the side
    seed: int = MISSING


@dataclass
class MedianConfig(DefenceConfig):
    """Median filter."""

    _target_: str = "aach_lightning.networks.defences.median.MedianFilter"
    window: int = MISSING  # side of the square in pixels, odd


@dataclass
class AdversarialConfig:
    """Whether a trained target is hardened by adversarial pairs."""

    method: AdversarialMethod = MISSING


@dataclass
class HardeningConfig(AdversarialConfig):
    """How a trained target is hardened."""

    epsilon: float = MISSING  # images, in 1/255
    text_epsilon: float = MISSING  # texts, in units of a text entry
    steps: int = MISSING
    step_size: float = MISSING  # as a share of epsilon
    epochs: int = MISSING
    lr: float = MISSING  # of all that is trained
    frozen: bool = MISSING  # leave the image backbone as it is


@dataclass
class CmlaHardeningConfig(HardeningConfig):
    """Adversarial pairs that are crafted once."""

    pairs: int = MISSING  # most adversarial pairs
    intra_weight: float = MISSING  # of the part of the objective within a modality


@dataclass
class TargetConfig:
    """The system under attack."""

    name: str = MISSING
    code_length: int = MISSING  # K
    image_net: EncoderConfig = field(default_factory=EncoderConfig)
    text_net: EncoderConfig = field(default_factory=EncoderConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    image_lr: float = MISSING
    text_lr: float = MISSING
    batch_size: int = MISSING
    epochs: int = MISSING
    validation: int = MISSING  # most database rows outside train that measure MAP while training
    seed: int = MISSING
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
    defence: DefenceConfig = field(default_factory=DefenceConfig)


DEFENCE_SCHEMAS: dict[str, type[DefenceConfig]] = {
    "none_schema": NoDefenceConfig,
    "jpeg_schema": JPEGConfig,
    "bit_depth_schema": BitDepthConfig,
    "resize_schema": ResizeConfig,
    "median_schema": MedianConfig,
}
ADVERSARIAL_SCHEMAS: dict[str, type[AdversarialConfig]] = {
    "none_schema": AdversarialConfig,
    "cmla_schema": CmlaHardeningConfig,
    "pgd_schema": HardeningConfig,
}
