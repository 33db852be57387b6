"""MAP and distortion over the steps of an attack."""

from collections.abc import Iterator, Sequence

import numpy as np

from aach_lightning.evaluation.result import Result
from aach_lightning.reports.figure import BLUE, VERMILION, legend, set_ticks
from aach_lightning.reports.panels.panel import Panel, new_direction, spoken
from aach_lightning.reports.table import DIRECTIONS

_BAND = 0.12


def trace_panels(results: Sequence[Result], attack: str) -> Iterator[Panel]:
    """Means over replicates, with their range: MAP, then RMS, two panels a direction.

    Args:
        results: Of equal configuration but for seeds; those without a trace are left out.
        attack: Name of the attacker.

    Step 0 are the clean queries, the last step is the attack of the tables.
    """
    for direction in DIRECTIONS:
        traces = [points for points in (_points(result, direction) for result in results) if points is not None]
        traces = [points for points in traces if np.array_equal(points[:, 0], traces[0][:, 0])]
        if not traces:
            continue
        values = np.stack(traces)  # runs x points x (steps, MAP, RMS)
        steps = values[0, :, 0]
        for column, name, label, colour in ((1, "map", "MAP", VERMILION), (2, "distortion", "RMS of the change", BLUE)):
            figure, axes = new_direction(direction)
            mean = values[:, :, column].mean(axis=0)
            axes.plot(steps, mean, color=colour, marker="o", markersize=4, label=attack)
            low, high = values[:, :, column].min(axis=0), values[:, :, column].max(axis=0)
            axes.fill_between(steps, low, high, color=colour, alpha=_BAND, linewidth=0)
            set_ticks(axes, _apart(steps.tolist()), [f"{step:,.0f}" for step in _apart(steps.tolist())], doubling=False)
            axes.set_xlabel("steps")
            axes.set_ylabel(label)
            legend(figure, axes, 1)
            said = [(f"step {step:,.0f}", float(value)) for step, value in zip(steps, mean, strict=True)]
            alt = f"{label} over steps, {DIRECTIONS[direction]}. {spoken(said)}."
            yield Panel(f"steps_{name}_{direction}", alt, figure)


def _points(result: Result, direction: str) -> "np.typing.NDArray[np.float64] | None":
    """Steps, MAP and RMS from the clean queries to the whole attack; None where nothing lies between them."""
    traced = [point for point in result.trace if point.direction == direction]
    clean, attack = (
        next((row for row in result.rows if (row.direction, row.query) == (direction, query)), None)
        for query in ("clean", "attack")
    )
    steps = result.config.get("attack", {}).get("steps")
    if not traced or clean is None or attack is None or not isinstance(steps, int):
        return None
    between = [(point.steps, point.map, point.rms) for point in traced]
    return np.array([(0, clean.map, 0.0), *between, (steps, attack.map, attack.rms)], dtype=np.float64)


def _apart(steps: Sequence[float]) -> list[float]:
    """Steps whose labels do not touch."""
    chosen = [steps[-1]]
    for step in reversed(steps[:-1]):
        if chosen[-1] - step >= 0.07 * steps[-1]:
            chosen.append(step)
    return chosen[::-1]
