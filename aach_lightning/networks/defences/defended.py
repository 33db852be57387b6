"""A network that sees images through a defence."""

from typing import cast

import torch
from torch import Tensor, nn

from aach_lightning.networks.hashing import HashingNetwork


class _Behind(nn.Module):
    def __init__(self, defence: nn.Module, image: nn.Module) -> None:
        super().__init__()
        self.defence, self.image = defence, image

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):  # a defence works on pixels, whatever the network does
            defended = self.defence(images)
        return cast(Tensor, self.image(defended))


def with_defence(network: HashingNetwork, defence: nn.Module) -> HashingNetwork:
    """The same network behind a defence; parameters are shared.

    Args:
        network: Its text half stays as it is.
        defence: Images to images, both in [0, 1]; `nn.Identity` for none, which gives `network` itself.
    """
    if isinstance(defence, nn.Identity):
        return network
    defended = HashingNetwork(_Behind(defence, network.image), network.text, network.code_length)
    return defended.train(network.training)
