"""HashingNetworks from the configuration."""

from dataclasses import asdict
from typing import Any, cast

import torch
from torch import nn

from aach_lightning.config.schema import RunConfig
from aach_lightning.config.target import DefenceConfig, EncoderConfig
from aach_lightning.errors import ConfigError
from aach_lightning.networks.defences import with_defence
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork
from aach_lightning.runtime.instantiate import instantiate


def build_network(
    image: EncoderConfig, text: EncoderConfig, code_length: int, image_size: int, text_width: int, seed: int
) -> HashingNetwork:
    """Create a network; equal arguments give equal weights.

    Args:
        image: The image half.
        text: The text half.
        code_length: K, number of bits.
        image_size: Height and width of the images in pixels.
        text_width: D, entries of a text vector.
        seed: Seeds the initial weights.

    Raises:
        ConfigError: If a backbone is not allowed, does not exist, or has no `width`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return HashingNetwork(
            image=_encoder(image, code_length, image_size=image_size),
            text=_encoder(text, code_length, text_width=text_width),
            code_length=code_length,
        )


def _encoder(config: EncoderConfig, code_length: int, **size: Any) -> Encoder:
    backbone = instantiate(config.backbone, **size)
    width = getattr(backbone, "width", None)
    if not isinstance(backbone, nn.Module) or not isinstance(width, int):
        raise ConfigError(
            f"backbone {config.backbone['_target_']}: it must be an nn.Module with an integer attribute `width` "
            f"(number of features), received {type(backbone).__name__} with width={width!r}"
        )
    return Encoder(backbone, HashHead(width, code_length, config.hidden, config.dropout, config.refined), config.frozen)


def build_defence(config: DefenceConfig) -> nn.Module:
    """The defence of a target's images; `nn.Identity` for none."""
    return cast(nn.Module, instantiate(asdict(config)))


def with_known_defence(config: RunConfig, source: HashingNetwork) -> HashingNetwork:
    """The source of an attack: behind the target's defence where the attacker knows it (`attack.knows_defence`)."""
    return with_defence(source, build_defence(config.target.defence)) if config.attack.knows_defence else source
