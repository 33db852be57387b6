"""The system under attack: its networks, how it is trained and hardened, and what happens to its images."""

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

from aach_lightning.config.choices import AdversarialMethod
from aach_lightning.config.data import TEXT_EPSILON
from aach_lightning.config.method import MethodConfig
from aach_lightning.config.option import (
    BELOW_ONE,
    BITS,
    NOT_NEGATIVE,
    POSITIVE,
    RATE,
    SEED,
    SHARE,
    Limits,
    option,
)


@dataclass
class EncoderConfig:
    """One half of a HashingNetwork."""

    backbone: dict[str, Any] = option(MISSING, "_target_ and arguments of an nn.Module with an attribute `width`")
    frozen: bool = option(False, "features of a pretrained backbone are computed once, and only the head is trained")
    hidden: int = option(0, "width of a hidden layer in the hash head, 0 for none", Limits(0, 2**16))
    dropout: float = option(0.0, "in the hash head", BELOW_ONE)
    refined: bool = option(False, "hash only what both modalities have in common of the features, as CPAH does")


@dataclass
class DefenceConfig:
    """What happens to its images before it sees them."""

    _target_: str = MISSING


@dataclass
class NoDefenceConfig(DefenceConfig):
    """Images reach the target as they were sent."""

    _target_: str = "torch.nn.Identity"


@dataclass
class JPEGConfig(DefenceConfig):
    """JPEG re-encoding (Dziugaite et al., 2016)."""

    _target_: str = "aach_lightning.networks.defences.jpeg.JPEG"
    quality: int = option(75, "above 95 Pillow switches parts of the encoder off", Limits(1, 95))


@dataclass
class BitDepthConfig(DefenceConfig):
    """Fewer bits a channel (Xu et al., NDSS 2018)."""

    _target_: str = "aach_lightning.networks.defences.bit_depth.BitDepth"
    bits: int = option(4, "that are kept", Limits(1, 8, unit="bits a channel"))


@dataclass
class ResizeConfig(DefenceConfig):
    """Random resizing and padding, drawn from the content of each image (Xie et al., ICLR 2018)."""

    _target_: str = "aach_lightning.networks.defences.resize.RandomResize"
    smallest: float = option(0.75, "share of the side", SHARE)
    seed: int = option(0, "of what is drawn", SEED)


@dataclass
class MedianConfig(DefenceConfig):
    """Median filter (Xu et al., NDSS 2018)."""

    _target_: str = "aach_lightning.networks.defences.median.MedianFilter"
    window: int = option(3, "side of the square in pixels", Limits(3, 255, parity="odd"))


DEFENCES = {
    "none": NoDefenceConfig,
    "jpeg": JPEGConfig,
    "bit_depth": BitDepthConfig,
    "resize": ResizeConfig,
    "median": MedianConfig,
}


@dataclass
class AdversarialConfig:
    """The target as it was trained."""

    method: AdversarialMethod = option(AdversarialMethod.none, "chosen by target/adversarial, with the keys it has")


@dataclass
class HardeningConfig(AdversarialConfig):
    """PGD (Madry et al., ICLR 2018): each step crafts pairs whose codes leave the clean ones, and learns from both."""

    method: AdversarialMethod = AdversarialMethod.pgd
    epsilon: float = option(8.0, "images, in 1/255", POSITIVE)
    text_epsilon: float = option(TEXT_EPSILON, "texts, in units of a text entry, as attack.text_epsilon", POSITIVE)
    steps: int = option(5, "of each delta", POSITIVE)
    step_size: float = option(0.4, "as a share of epsilon", POSITIVE)
    epochs: int = option(5, "of further training", POSITIVE)
    lr: float = option(1e-4, "of all that is trained", RATE)
    frozen: bool = option(False, "false: fine-tunes the image backbone too, also where target.image_net.frozen is true")


@dataclass
class CmlaHardeningConfig(HardeningConfig):
    """CMLA (Li et al., NeurIPS 2019): trained further on its train pairs and on pairs crafted against it before.

    The paper crafts by 500 steps of Adam, one-sided; here by sign steps. Its intra_weight is 1; 0 makes stronger pairs,
    from which a target learned more in small trials.
    """

    method: AdversarialMethod = AdversarialMethod.cmla
    steps: int = 30
    step_size: float = 0.1
    pairs: int = option(5000, "most adversarial pairs, at most the train part", POSITIVE)
    intra_weight: float = option(0.0, "of the part of the objective within a modality", NOT_NEGATIVE)


HARDENINGS = {"none": AdversarialConfig, "cmla": CmlaHardeningConfig, "pgd": HardeningConfig}


@dataclass
class TargetConfig:
    """The system under attack."""

    name: str = option(MISSING, "what results call it, a choice of `target`")
    code_length: int = option(32, "K", BITS)
    image_net: EncoderConfig = option(lambda: EncoderConfig(frozen=True, dropout=0.3), "of images")
    text_net: EncoderConfig = option(lambda: EncoderConfig(dropout=0.3), "of texts")
    method: MethodConfig = option(MethodConfig, "how it learns")
    image_lr: float = option(1e-3, "learning rate of the image network; 0 where nothing is trained", Limits(0, 10.0))
    text_lr: float = option(1e-3, "learning rate of the text network; 0 where nothing is trained", Limits(0, 10.0))
    batch_size: int = option(128, "of train pairs; 0 where nothing is trained", NOT_NEGATIVE)
    epochs: int = option(20, "over the train part; 0 where nothing is trained", NOT_NEGATIVE)
    validation: int = option(500, "most database rows outside train on which its MAP is measured", POSITIVE)
    seed: int = option(0, "of its first weights and its batches", SEED)
    adversarial: AdversarialConfig = option(AdversarialConfig, "how it is hardened")
    defence: DefenceConfig = option(DefenceConfig, "what happens to its images")
