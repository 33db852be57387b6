"""TextMultiScale: the multi-scale text network of SSAH."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POOLS = (50, 30, 15, 10, 5)


class TextScale(nn.Module):
    """The text vector seen through windows of one size: average pool, 1 x 1 convolution, ReLU, resize to D entries.

    The resize is linear interpolation between the centres of the windows, held as a matrix because torch's own has no
    deterministic gradient on CUDA. An incomplete last window is left out, as in public code of SSAH.

    Args:
        text_width: D.
        pool: Entries in a window and step from one to the next, in [1, D].

    Shapes: N x D float -> N x D float >= 0.
    """

    resize: Tensor

    def __init__(self, text_width: int, pool: int) -> None:
        super().__init__()
        self.pool = pool
        # One channel in and out: the 1 x 1 convolution is a factor and an offset. It starts as the identity and not at
        # random, as in public code: word counts are never negative, so a negative factor would silence it for good.
        self.factor = nn.Parameter(torch.ones(()))
        self.offset = nn.Parameter(torch.zeros(()))
        windows = torch.eye(text_width // pool)[:, None]
        matrix = F.interpolate(windows, size=text_width, mode="linear", align_corners=False)
        self.register_buffer("resize", matrix[:, 0], persistent=False)

    def forward(self, texts: Tensor) -> Tensor:
        """Pool and resize."""
        pooled = F.avg_pool1d(texts[:, None], self.pool)[:, 0]
        return (pooled * self.factor + self.offset).relu() @ self.resize


class TextMultiScale(nn.Module):
    """Text vector at six scales, then two fully connected layers (SSAH: Li et al., CVPR 2018).

    As in public code of SSAH: windows of 50, 30, 15, 10 and 5 entries, a scale of its own for each, all of them beside
    the text vector itself, then D x 6 -> 4096 -> 512 with ReLU. Left out: the response or batch normalisation between
    layers (versions of that code differ in it, and the hash head starts with a normalisation). A text vector shorter
    than a window is pooled as a whole.

    Args:
        text_width: D, entries of the text vector. Neighbouring entries are pooled together, so their order matters.
        hidden: Units of the first layer.
        width: Units of the second layer, the features.

    Attributes:
        width: As given.

    Shapes: texts N x D float -> N x width, float >= 0.

    Raises:
        ValueError: If a width is not positive.
    """

    def __init__(self, text_width: int, *, hidden: int = 4096, width: int = 512) -> None:
        super().__init__()
        if min(text_width, hidden, width) < 1:
            raise ValueError(
                f"TextMultiScale: widths must be positive, got text_width={text_width}, hidden={hidden}, width={width}"
            )
        self.width = width
        self.scales = nn.ModuleList(TextScale(text_width, min(pool, text_width)) for pool in POOLS)
        self.hidden = nn.Linear((1 + len(POOLS)) * text_width, hidden)
        self.features = nn.Linear(hidden, width)

    def forward(self, texts: Tensor) -> Tensor:
        """Features of text vectors: N x width."""
        scales = torch.cat([texts, *(scale(texts) for scale in self.scales)], dim=1)
        return cast(Tensor, self.features(self.hidden(scales).relu()).relu())
