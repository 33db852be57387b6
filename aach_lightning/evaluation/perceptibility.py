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


def perceptibility(clean: Tensor, changed: Tensor) -> Perceptibility:
    """Compare inputs before and after.

    Args:
        clean: float in [0, 1], N x 3 x H x W images or N x D texts.
        changed: Same shape.
    """
    difference = (changed - clean).flatten(1)
    mean_square = difference.square().mean(dim=1)
    psnr = ssim = None
    if clean.ndim == 4:
        ssim = float(torch.as_tensor(structural_similarity_index_measure(changed, clean, data_range=1.0)))
        if bool((mean_square > 0).all()):
            psnr = float(
                peak_signal_noise_ratio(changed, clean, data_range=1.0, dim=(1, 2, 3), reduction="elementwise_mean")
            )
    return Perceptibility(float(difference.abs().max()), float(mean_square.sqrt().mean()), psnr, ssim)
