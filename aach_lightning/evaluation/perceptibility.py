"""How visible a perturbation is, on what the target is really shown."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure


@dataclass(frozen=True)
class Perceptibility:
    """Means over N items, but for `linf`, which is the largest of all.

    Attributes:
        linf: Largest change of any entry, in units of the input.
        rms: Root of the mean squared change of an item (the distortion D of CMLA, NeurIPS 2019).
        psnr: Peak signal-to-noise ratio in dB for a peak of 1; None for texts and where nothing changed.
        ssim: Structural similarity in [-1, 1]; None for texts.
    """

    linf: float
    rms: float
    psnr: float | None
    ssim: float | None


def item_perceptibility(clean: Tensor, changed: Tensor) -> Tensor:
    """Compare inputs before and after, item by item.

    Args:
        clean: float in [0, 1], N x 3 x H x W images or N x D texts.
        changed: Same shape.

    Returns:
        float64, N x 4: linf, rms, psnr (infinite where nothing changed) and ssim; the last two are NaN for texts.
    """
    difference = (changed - clean).flatten(1)
    psnr = ssim = torch.full((len(clean),), torch.nan)
    if clean.ndim == 4:
        similarity = structural_similarity_index_measure(changed, clean, data_range=1.0, reduction="none")
        ssim = torch.as_tensor(similarity).view(-1)
        psnr = peak_signal_noise_ratio(changed, clean, data_range=1.0, dim=(1, 2, 3), reduction="none").view(-1)
    columns = (difference.abs().amax(dim=1), difference.square().mean(dim=1).sqrt(), psnr, ssim)
    return torch.stack([column.double() for column in columns], dim=1)


def pooled(items: Tensor) -> Perceptibility:
    """Perceptibility of N items from the N x 4 numbers of `item_perceptibility`."""
    linf, rms, psnr, ssim = items.unbind(dim=1)

    def mean(values: Tensor) -> float | None:
        return float(values.mean()) if bool(values.isfinite().all()) else None

    return Perceptibility(float(linf.max()), float(rms.mean()), mean(psnr), mean(ssim))
