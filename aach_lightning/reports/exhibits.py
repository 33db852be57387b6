"""The gallery of a page: attacked images of one run, by a stated rule."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aach_lightning.evaluation.gallery import Exhibit, Found
from aach_lightning.reports.page import Picture, Shown, png_source
from aach_lightning.reports.text import printable

MOST = 8
RULE = (
    "All attacked images of one run are ranked by how many bits of their code moved; shown are images at evenly spaced "
    "ranks, from the one that moved least to the one that moved most. Nobody chose them by hand."
)


def shown_exhibits(exhibits: Sequence[Exhibit], epsilon: float) -> tuple[Shown, ...]:
    """Attacked images as they stand in a page.

    Args:
        exhibits: By how far their codes moved; the first `MOST` are shown.
        epsilon: Bound of a pixel's change in [0, 1].
    """
    shown = []
    for number, exhibit in enumerate(exhibits[:MOST]):
        share = number / max(1, len(exhibits) - 1)
        place = {0.0: "moved least", 1.0: "moved most, the worst case"}.get(share, f"at {share:.0%} of the ranking")
        name = printable(exhibit.name)
        delta = exhibit.amplified_delta(epsilon) if epsilon > 0 else np.full_like(exhibit.clean, 0.5)
        images = (
            _picture(exhibit.clean, f"Clean image {name}", "clean"),
            _picture(delta, f"Perturbation of {name}, amplified", f"perturbation, x{0.5 / max(epsilon, 1e-9):.0f}"),
            _picture(exhibit.adversarial, f"Adversarial image of {name}", "adversarial"),
        )
        lists = (("Nearest texts, clean", exhibit.before), ("Nearest texts, adversarial", exhibit.after))
        found = tuple((title, tuple(Found(printable(it.text), it.relevant) for it in texts)) for title, texts in lists)
        bits = f"{exhibit.moved} bit{'' if exhibit.moved == 1 else 's'} moved"
        shown.append(Shown(f"{name}: {bits} ({place})", images, found))
    return tuple(shown)


def _picture(image: NDArray[np.float32], alt: str, caption: str) -> Picture:
    buffer = BytesIO()
    pixels = to_pixels(image)
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return Picture(png_source(buffer.getvalue()), alt, pixels.shape[1], pixels.shape[0], caption)


def to_pixels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """An image in [0, 1], 3 x H x W, as H x W x 3 levels of 8 bits."""
    levels: NDArray[np.uint8] = np.rint(image.transpose(1, 2, 0).clip(0, 1) * 255).astype(np.uint8)
    return levels
