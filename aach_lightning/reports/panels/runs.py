"""What single runs have kept: MAP and distortion over the steps of an attack, precision and recall before and after."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
import pandas as pd

from aach_lightning.evaluation.result import Direction, Result
from aach_lightning.evaluation.retrieval_curves import RetrievalCurve
from aach_lightning.reports.figure import BLUE, DASHES, VERMILION, Axes, mark, plot
from aach_lightning.reports.material import Material
from aach_lightning.reports.panels.panel import COLOURS, Panel, draw_panels, spoken
from aach_lightning.reports.table import NAMES

Array = np.typing.NDArray[np.float64]
_QUERIES = ("clean", "noise", "attack", "white_box")


def trace_panels(material: Material) -> Iterator[Panel]:
    """MAP, then RMS, over steps: means over the leading runs with their range; runs without a trace are left out.

    Step 0 are the clean queries, the last step is the attack of the tables.
    """
    results = [material.found.results[key][1] for key in material.runs]

    def drawing(column: int, label: str, colour: str) -> Callable[[Axes, str], str | None]:
        def draw(axes: Axes, direction: str) -> str | None:
            traces = [points for points in (_points(result, direction) for result in results) if points is not None]  # type: ignore[arg-type]
            traces = [points for points in traces if np.array_equal(points[:, 0], traces[0][:, 0])]
            if not traces:
                return None
            steps, values = traces[0][:, 0], np.stack(traces)[:, :, column]  # runs x points
            cells = pd.DataFrame({"mean": values.mean(axis=0), "low": values.min(axis=0), "high": values.max(axis=0)})
            plot(axes, steps, cells, colour, label=material.told)
            mark(axes, steps.tolist())
            axes.set_xlabel("steps")
            axes.set_ylabel(label)
            return f"{label} over steps. {spoken([f'step {step:,.0f}' for step in steps], cells['mean'])}"

        return draw

    return chain(
        draw_panels("steps_map", drawing(1, "MAP", VERMILION)),
        draw_panels("steps_distortion", drawing(2, "RMS of the change", BLUE)),
    )


def _points(result: Result, direction: Direction) -> Array | None:
    """Steps, MAP and RMS from the clean queries to the whole attack; None where nothing lies between them."""
    traced = [point for point in result.trace if point.direction == direction]
    clean, attack = result.row(direction, "clean"), result.row(direction, "attack")
    steps = result.config.get("attack", {}).get("steps")
    if not traced or clean is None or attack is None or not isinstance(steps, int):
        return None
    between = [(point.steps, point.map, point.rms) for point in traced]
    return np.array([(0, clean.map, 0.0), *between, (steps, attack.map, attack.rms)], dtype=np.float64)


def retrieval_panels(material: Material) -> Iterator[Panel]:
    """Precision over recall, then among the first N: means over the leading runs.

    Runs with other radii or ranks than the first are left out.
    """

    def draw_recall(axes: Axes, direction: str) -> str | None:
        said = {}
        for query, name, curves in _lines(material, direction):
            recall, precision = _mean([it.recall for it in curves]), _mean([it.precision for it in curves])
            _draw(axes, recall[recall > 0], precision[recall > 0], query, name)
            said[name] = float(np.interp(0.5, recall, precision))
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")
        axes.set_xlim(0, 1.02)
        return f"Precision over recall; at recall 0.5: {spoken(said, said.values())}" if said else None

    def draw_ranks(axes: Axes, direction: str) -> str | None:
        said = {}
        for query, name, curves in _lines(material, direction):
            ranks, precision = curves[0].ranks, _mean([it.precision_at for it in curves])
            _draw(axes, ranks, precision, query, name)
            said[name] = float(precision[0])
            mark(axes, [float(rank) for rank in ranks if str(rank)[0] == "1"])
        axes.set_xlabel("first N ranks")
        axes.set_ylabel("precision")
        return f"Precision among the first N; at N = 1: {spoken(said, said.values())}" if said else None

    return chain(draw_panels("precision_recall", draw_recall), draw_panels("precision_at", draw_ranks))


def _lines(material: Material, direction: str) -> Iterator[tuple[str, str, list[RetrievalCurve]]]:
    """Kind of query, its name, and its curves, of those that were kept."""
    for query in _QUERIES:
        found = [it for run in material.curves for it in run.curves if (it.direction, it.query) == (direction, query)]
        found = [it for it in found if it.ranks and it.recall]
        found = [it for it in found if (len(it.recall), it.ranks) == (len(found[0].recall), found[0].ranks)]
        if found:
            yield query, material.told if query == "attack" else NAMES.get(query, query), found


def _mean(curves: Sequence[Sequence[float]]) -> Array:
    mean: Array = np.mean(curves, axis=0)
    return mean


def _draw(axes: Axes, x: "Sequence[float] | Array", y: Array, query: str, name: str) -> None:
    attack = query == "attack"
    colour, width = (VERMILION, 2.0) if attack else (COLOURS[query], 1.3)
    axes.plot(x, y, color=colour, linestyle=DASHES[query], linewidth=width, label=name)
