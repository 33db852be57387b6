"""A network that computes in bfloat16 and looks from outside like any other."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from aach_lightning.networks.hashing import HashingNetwork


class BFloat16Network(HashingNetwork):
    """Convolutions and matrix products of a frozen network in bfloat16; inputs, codes and gradients stay float32.

    Autocast alone would convert the weights anew in every forward: here they are converted once, in a copy.

    Args:
        network: The network to copy; it stays as it is.

    Shapes: as the network's.
    """

    def __init__(self, network: HashingNetwork) -> None:
        copied = deepcopy(network).requires_grad_(False)
        super().__init__(copied.image, copied.text, copied.code_length)
        self.network = copied
        for module in copied.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.to(torch.bfloat16)

    def hash_images(self, images: Tensor) -> Tensor:
        """Relaxed codes of images, float32, N x K in [-1, 1]."""
        with torch.autocast(images.device.type, torch.bfloat16):
            return self.network.hash_images(images).float()

    def hash_texts(self, texts: Tensor) -> Tensor:
        """Relaxed codes of texts, float32, N x K in [-1, 1]."""
        with torch.autocast(texts.device.type, torch.bfloat16):
            return self.network.hash_texts(texts).float()
