"""Precision-recall and precision among the first N, before and after."""

from collections.abc import Iterator, Sequence

import numpy as np

from aach_lightning.evaluation.retrieval_curves import RetrievalCurve, RetrievalCurves
from aach_lightning.reports.figure import INK, VERMILION, Axes, Dashes, legend, set_ticks
from aach_lightning.reports.panels.panel import HEIGHT, LEVELS, Panel, level, new_direction, spoken
from aach_lightning.reports.table import DIRECTIONS

_STYLES: dict[str, tuple[str, Dashes]] = {
    "clean": LEVELS["clean"],
    "noise": LEVELS["noise"],
    "attack": (VERMILION, "-"),
    "white_box": (INK, (0, (5, 2))),
}


def retrieval_panels(runs: Sequence[RetrievalCurves], attack: str) -> Iterator[Panel]:
    """Means over some runs of equal setting, two panels a direction.

    Args:
        runs: Of replicates; those with other radii or ranks than the first are left out.
        attack: Name of the attacker.
    """
    for direction in DIRECTIONS:
        lines = {query: _of(runs, direction, query) for query in _STYLES}
        lines = {query: curves for query, curves in lines.items() if curves}
        if not lines:
            continue
        names = {query: attack if query == "attack" else level(query) for query in lines}
        figure, axes = new_direction(direction, HEIGHT)
        said = []
        for query, curves in lines.items():
            recall = np.mean([curve.recall for curve in curves], axis=0)
            precision = np.mean([curve.precision for curve in curves], axis=0)
            found = recall > 0
            _plot(axes, recall[found], precision[found], query, names[query])
            said.append((names[query], float(np.interp(0.5, recall, precision))))
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")
        axes.set_xlim(0, 1.02)
        legend(figure, axes, 2)
        alt = f"Precision over recall, {DIRECTIONS[direction]}; precision at recall 0.5: {spoken(said)}."
        yield Panel(f"precision_recall_{direction}", alt, figure)
        figure, axes = new_direction(direction, HEIGHT)
        said = []
        for query, curves in lines.items():
            ranks = np.asarray(curves[0].ranks, dtype=np.float64)
            precision = np.mean([curve.precision_at for curve in curves], axis=0)
            _plot(axes, ranks, precision, query, names[query])
            said.append((names[query], float(precision[0])))
        ticks = [rank for rank in curves[0].ranks if str(rank)[0] == "1"]
        set_ticks(axes, [float(rank) for rank in ticks], [f"{rank:,}" for rank in ticks], doubling=True)
        axes.set_xlabel("first N ranks")
        axes.set_ylabel("precision")
        legend(figure, axes, 2)
        alt = f"Precision among the first N, {DIRECTIONS[direction]}; at N = 1: {spoken(said)}."
        yield Panel(f"precision_at_{direction}", alt, figure)


def _of(runs: Sequence[RetrievalCurves], direction: str, query: str) -> list[RetrievalCurve]:
    found = [it for run in runs for it in run.curves if (it.direction, it.query) == (direction, query)]
    found = [it for it in found if it.ranks and it.recall]
    return [it for it in found if (len(it.recall), it.ranks) == (len(found[0].recall), found[0].ranks)]


def _plot(axes: Axes, x: "np.typing.NDArray[np.float64]", y: object, query: str, name: str) -> None:
    colour, dashes = _STYLES[query]
    width = 2.0 if query == "attack" else 1.3
    axes.plot(x, y, color=colour, linestyle=dashes, linewidth=width, label=name)  # type: ignore[arg-type]
