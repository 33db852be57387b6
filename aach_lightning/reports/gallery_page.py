"""The gallery of a page: attacked images of one run, by a stated rule."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aach_lightning.errors import DataError
from aach_lightning.evaluation.exhibits import GALLERY, load_exhibits
from aach_lightning.evaluation.gallery import Exhibit, Found
from aach_lightning.reports.collect import Collection, check_file
from aach_lightning.reports.page import Picture, Shown, png_source
from aach_lightning.reports.text import printable

MOST = 8
RULE = (
    "All attacked images of one run are ranked by how many bits of their code moved; shown are images at evenly spaced "
    "ranks, from the one that moved least to the one that moved most. Nobody chose them by hand."
)


def gallery(found: Collection, runs: Sequence[str]) -> tuple[tuple[Shown, ...], str, list[tuple[Path, str]]]:
    """Attacked images of the first of some runs that kept any.

    Args:
        found: Of `reports.collect.collect`.
        runs: Of `leading.leading_runs`.

    Returns:
        The images, what run they are of, and galleries that could not be read with the reason.
    """
    skipped = []
    for key in runs:
        file, result = found.results[key]
        path = file.parent / GALLERY
        if not path.exists():
            continue
        try:
            check_file(path)
            exhibits = load_exhibits(path)
        except DataError as error:
            skipped.append((path, str(error)))
            continue
        if exhibits:
            flat = found.configs[key]
            return _shown(exhibits, float(flat["attack.epsilon"]) / 255), f"seed {result.seed}", skipped
    return (), "", skipped


def _shown(exhibits: Sequence[Exhibit], epsilon: float) -> tuple[Shown, ...]:
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
        found = tuple((title, tuple(_clean(it) for it in texts)) for title, texts in lists)
        bits = f"{exhibit.moved} bit{'' if exhibit.moved == 1 else 's'} moved"
        shown.append(Shown(f"{name}: {bits} ({place})", images, found))
    return tuple(shown)


def _clean(text: Found) -> Found:
    return Found(printable(text.text), text.relevant)


def _picture(image: NDArray[np.float32], alt: str, caption: str) -> Picture:
    pixels = np.rint(image.transpose(1, 2, 0).clip(0, 1) * 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return Picture(png_source(buffer.getvalue()), alt, pixels.shape[1], pixels.shape[0], caption)
