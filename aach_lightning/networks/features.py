"""What a frozen image backbone makes of images, computed once instead of once an epoch."""

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.hashing import Encoder


@torch.no_grad()
def encode_images(
    encoder: Encoder, pairs: Pairs, indices: NDArray[np.int64], batch_size: int, description: str, device: torch.device
) -> Tensor:
    """Run the backbone of `encoder` over images.

    Args:
        encoder: Its backbone is put in eval mode and moved to `device`.
        pairs: The data set.
        indices: N rows of it.
        batch_size: Images at a time.
        description: Shown beside the progress bar.
        device: Where to compute.

    Returns:
        float32, N x F, on the CPU.
    """
    backbone = encoder.backbone.eval().to(device)
    starts = range(0, len(indices), batch_size)
    parts = [
        cast(Tensor, backbone(pairs.batch(indices[start : start + batch_size]).images.to(device))).float().cpu()
        for start in track(starts, description, transient=True)
    ]
    return torch.cat(parts)
