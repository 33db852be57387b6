"""The picture of an attack and of what the target finds before and after."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aach_lightning.config.schema import RunConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.evaluation.gallery import Exhibit, Found
from aach_lightning.evaluation.rows import DirectionOutcome
from aach_lightning.reports.figure import BLUE, VERMILION, Axes, drawable, new_figure, save_figure

_LONGEST_TEXT, _LONGEST_TITLE, _LINE = 88, 160, 46


def picture_title(config: RunConfig, pairs: Pairs, outcome: DirectionOutcome) -> str:
    """One line that says what was attacked, with what, and what came of it."""
    found = outcome.measurements
    queries = config.attack.queries
    asked = f"{config.budget.pairs} queried pairs" if queries is None else f"{queries:,} queries"
    return (
        f"{pairs.name}: MAP {found['clean'].map:.3f} clean, {found['attack'].map:.3f} attacked with "
        f"{asked}, epsilon {config.attack.epsilon:g}/255"
    )


def save_picture(exhibits: Sequence[Exhibit], epsilon: float, title: str, path: Path) -> None:
    """Draw one row for each exhibit as a PNG, atomically.

    Args:
        exhibits: At least one.
        epsilon: Bound of delta in [0, 1]; the perturbation is amplified so that it fills the range.
        title: Above the picture.
        path: Where it goes.

    Texts are shown as they are, shortened, with a box in the place of characters that the font does not have.
    """
    figure = new_figure(13.5, 2.45 * len(exhibits) + 0.6)
    grid = figure.subplots(len(exhibits), 5, squeeze=False, width_ratios=[1, 1, 1, 1.6, 1.6])
    figure.suptitle(drawable(title, _LONGEST_TITLE), fontsize=11, parse_math=False)
    for axes, exhibit in zip(grid, exhibits, strict=True):
        pictures = (exhibit.clean, exhibit.amplified_delta(epsilon), exhibit.adversarial)
        for axis, picture in zip(axes, pictures, strict=False):
            axis.imshow(np.clip(picture.transpose(1, 2, 0), 0, 1), interpolation="nearest")
        for axis in axes:
            axis.set_axis_off()
        axes[2].text(
            0.5, -0.03, f"{exhibit.moved} bits moved", transform=axes[2].transAxes, ha="center", va="top", fontsize=8
        )
        _list(axes[3], exhibit.before)
        _list(axes[4], exhibit.after)
    headings = (
        "clean",
        f"perturbation, x{0.5 / epsilon:.0f}",
        "adversarial",
        "nearest texts, clean",
        "nearest texts, adversarial",
    )
    for axis, heading in zip(grid[0], headings, strict=True):
        axis.set_title(heading, fontsize=10, loc="center" if axis in grid[0][:3] else "left")
    figure.text(0.995, 0.002, "● shares a label   ○ does not", ha="right", va="bottom", fontsize=8, color="#444444")
    save_figure(figure, path)


def _list(axis: Axes, found: Sequence[Found]) -> None:
    for number, hit in enumerate(found):
        mark = "●" if hit.relevant else "○"
        text = drawable(hit.text, _LONGEST_TEXT)
        axis.text(
            0.0,
            0.98 - number * 0.2,
            f"{mark} " + "\n   ".join(textwrap.wrap(text, _LINE)),
            transform=axis.transAxes,
            va="top",
            fontsize=8,
            color=BLUE if hit.relevant else VERMILION,
            parse_math=False,  # a dollar sign is a dollar sign
        )
