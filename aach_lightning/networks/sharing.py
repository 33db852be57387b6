"""One global batch hashed by several processes: the image backbone is shared among them, the rest is cheap."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from aach_lightning.errors import ConfigError
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork
from aach_lightning.runtime import ranks
from aach_lightning.runtime.seeding import derive_seed


def hash_global_batch(network: HashingNetwork, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
    """Hash a batch of B pairs that all processes have, each reading its share of the images.

    The features are gathered with their gradients and every process goes on with all B rows, so that losses, triplets,
    memories and the dropout of the heads are those of one process: the number of processes is no hyperparameter.

    Args:
        network: The network, on this process's device.
        images: `ranks.own_share(B)` of the images, n x 3 x H x W; or B x F features that need no backbone.
        texts: B x D.

    Returns:
        Relaxed codes of images and texts, each float32, B x K, the same on every process.
    """
    if isinstance(network.image, Encoder):
        features = ranks.gather_shares(_read(network.image.backbone, images), len(texts))
        hashed = cast(Tensor, network.image.head(features))
    else:
        hashed = network.hash_images(images)
    return hashed.float(), network.hash_texts(texts).float()


@dataclass(frozen=True)
class Half:
    """What one half of a network makes of a batch of B items.

    Attributes:
        semantics: B x F, what the hash layer gets.
        codes: B x K in (-1, 1), relaxed codes.
    """

    semantics: Tensor
    codes: Tensor


def read_global_batch(network: HashingNetwork, images: Tensor, texts: Tensor) -> tuple[Half, Half]:
    """As `hash_global_batch`, with the features that are hashed; both float32.

    Raises:
        TypeError: If a head is not a HashHead.
    """
    image = network.image
    if isinstance(image, Encoder):
        images = ranks.gather_shares(_read(image.backbone, images), len(texts))
    text = cast(Encoder, network.text)
    return _half(image.head if isinstance(image, Encoder) else image, images), _half(text.head, text.backbone(texts))


def _half(head: nn.Module, features: Tensor) -> Half:
    if not isinstance(head, HashHead):
        raise TypeError(f"the head is a {type(head).__name__}, only a HashHead gives the features that it hashes")
    semantics, codes = head.with_semantics(features)
    return Half(semantics.float(), codes.float())


def _read(backbone: nn.Module, images: Tensor) -> Tensor:
    # dropout inside a backbone differs between processes, and leaves the numbers that the heads draw as they were
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices, enabled=backbone.training):
        if backbone.training:
            drawn = int(torch.randint(2**62, (), device=images.device))  # another one in each step
            torch.manual_seed(derive_seed(drawn, "share", ranks.rank()))
        return cast(Tensor, backbone(images))


def check_shareable(network: nn.Module, accelerator: str) -> None:
    """Refuse batch statistics that processes cannot share.

    Raises:
        ConfigError: If several processes shall train batch normalisation on CPUs, where torch cannot synchronise it.
    """
    trained = (m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training)
    found = next(trained, None)
    if found is not None and ranks.size() > 1 and accelerator == "cpu":
        raise ConfigError(
            f"trainer.devices={ranks.size()} on CPUs: the network has {type(found).__name__} in training mode, whose "
            f"statistics torch shares between GPUs only. Use one process, GPUs, image_net.frozen=true or GroupNorm."
        )
