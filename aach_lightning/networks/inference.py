"""What networks make of many pairs, without gradients, shared among the processes of a run."""

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.data.pairs import PairBatch, Pairs
from aach_lightning.networks.hashing import Encoder, HashingNetwork, binary_codes
from aach_lightning.runtime.batches import map_batches


def encode_images(
    encoder: Encoder, pairs: Pairs, rows: NDArray[np.int64], description: str, device: torch.device
) -> Tensor:
    """Run the backbone of `encoder` over images: what a frozen one gives need not be computed once an epoch.

    Args:
        encoder: Its backbone is put in eval mode and moved to `device`.
        pairs: The data set.
        rows: int64, N rows of it.
        description: Shown beside the progress bar.
        device: Where to compute.

    Returns:
        float32, N x F, on the CPU.
    """
    backbone = encoder.backbone.eval().to(device)

    def compute(batch: NDArray[np.int64]) -> tuple[Tensor, ...]:
        return (cast(Tensor, backbone(pairs.batch(batch).images.to(device))).float(),)

    return map_batches(compute, rows, description)[0]


def hash_pairs(
    network: HashingNetwork,
    read: Callable[[NDArray[np.int64]], PairBatch],
    rows: NDArray[np.int64],
    device: torch.device,
    description: str = "",
) -> tuple[Tensor, Tensor]:
    """Image codes and text codes of pairs, each int8 in {-1, +1}, N x K; arguments as of `relax_pairs`."""
    return _map_pairs(network, read, rows, device, description, binary_codes)


def relax_pairs(
    network: HashingNetwork,
    read: Callable[[NDArray[np.int64]], PairBatch],
    rows: NDArray[np.int64],
    device: torch.device,
    description: str = "",
) -> tuple[Tensor, Tensor]:
    """Relaxed codes of pairs.

    Args:
        network: In eval mode; moved to `device`.
        read: Reads some of the rows, as images or as the features that the network is made for.
        rows: int64, N.
        device: Where to compute.
        description: Shown beside a progress bar; empty for none.

    Returns:
        Those of images and of texts, each float32 in (-1, 1), N x K, on the CPU.
    """
    return _map_pairs(network, read, rows, device, description, Tensor.float)


def _map_pairs(
    network: HashingNetwork,
    read: Callable[[NDArray[np.int64]], PairBatch],
    rows: NDArray[np.int64],
    device: torch.device,
    description: str,
    form: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    network = network.to(device)

    def compute(batch: NDArray[np.int64]) -> tuple[Tensor, ...]:
        found = read(batch).to(device)
        return tuple(form(relaxed) for relaxed in network(found.images, found.texts))

    images, texts = map_batches(compute, rows, description)
    return images, texts
