"""Codes that would give the ranked lists of a service, up to a symmetry of the code: a non-metric embedding."""

import torch
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.networks.hashing import binary_codes
from aach_lightning.runtime.seeding import torch_generator

_STEPS, _DRAWS, _LR, _START = 300, 16, 0.1, 0.1
_MARGIN = 0.25  # how much of the distance that places in a list suggest has to lie between two items


def estimate_codes(
    image_lists: Tensor, text_lists: Tensor, image_distances: Tensor, text_distances: Tensor, bits: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Find codes of queried and of gallery pairs whose distances stand in the order of the lists.

    Every queried image and text, and every gallery pair, gets a relaxed code of its own; Adam lessens the mean of
    softplus(margin + D(query, nearer) - D(query, farther)) over random items of the lists, as generalised non-metric
    scaling does (Agarwal et al., AISTATS 2007). Image and text of a gallery pair share a code, which is what puts the
    queried images and the queried texts into one space: a system that retrieves across modalities has them near.

    Args:
        image_lists: int64, M x k, ids of gallery items, nearest first, of the queried images.
        text_lists: int64, M x k, of the queried texts.
        image_distances: float64, M x G, of `mining.lists.list_distances`.
        text_distances: float64, M x G.
        bits: K.
        seed: Base seed of the start and of what is drawn.

    Returns:
        Image codes and text codes, int8 in {-1, +1}, (M + G) x K: of the queried pairs, then of the gallery.
    """
    generator = torch_generator(seed, "estimation")
    queried, gallery = image_distances.shape
    codes = [
        torch.randn(count, bits, generator=generator).mul_(_START).requires_grad_()
        for count in (queried, queried, gallery)
    ]
    optimizer = torch.optim.Adam(codes, lr=_LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    with torch.enable_grad():
        for _ in track(range(_STEPS), "estimating codes from lists", transient=True):
            known = codes[2].tanh()
            loss = _disorder(codes[0].tanh(), known, image_lists, image_distances, generator)
            loss = loss + _disorder(codes[1].tanh(), known, text_lists, text_distances, generator)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    images, texts, known = (binary_codes(part.detach()) for part in codes)
    return torch.cat([images, known]), torch.cat([texts, known])


def _disorder(own: Tensor, known: Tensor, lists: Tensor, distances: Tensor, generator: torch.Generator) -> Tensor:
    """How far drawn gallery items are from standing in the order of the lists, in bits."""
    draws = (len(own), _DRAWS)
    first = lists.gather(1, torch.randint(lists.shape[1], draws, generator=generator))
    second = torch.randint(len(known), draws, generator=generator)
    gap = distances.gather(1, second) - distances.gather(1, first)
    swap = gap < 0
    near, far = torch.where(swap, second, first), torch.where(swap, first, second)
    excess = (own[:, None] * (known[far] - known[near])).sum(dim=2) / 2  # D(own, near) - D(own, far)
    gap = gap.abs().float()
    return (F.softplus(excess + _MARGIN * gap) * (gap > 0)).mean()
