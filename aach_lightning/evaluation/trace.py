"""MAP and distortion over the steps of an attack: the attack measured as if it had been stopped earlier."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aach_lightning.config.choices import TextForm
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.evaluation.attackers import Attacker, craft
from aach_lightning.evaluation.protocol import Searched, given_delta, measure
from aach_lightning.evaluation.result import TracePoint
from aach_lightning.evaluation.targeted import Aim
from aach_lightning.runtime.loggers import untracked
from aach_lightning.runtime.stopwatch import Stopwatch
from aach_lightning.runtime.store import ArtifactStore
from aach_lightning.targets.blackbox import BlackBox, EvaluationDoor


def measure_trace(
    config: RunConfig,
    attackers: Sequence[Attacker],
    black_box: BlackBox,
    door: EvaluationDoor,
    pairs: Pairs,
    rows: NDArray[np.int64],
    modality: Modality,
    searched: Searched,
    store: ArtifactStore,
    aim: Aim | None = None,
) -> tuple[TracePoint, ...]:
    """Measure the attack after each number of steps in `evaluation.trace`.

    Each is an attack of its own with so many steps, with a place of its own in the store: whatever holds for an attack
    (determinism, any number of processes, going on after a kill) holds for it too. Codes that the attack has paid for
    are answered again for free.

    Args:
        config: The whole configuration.
        attackers: Of `attackers.find_attackers`; the attack alone is traced.
        black_box: The metered door.
        door: Evaluation's own way to the target.
        pairs: The data set.
        rows: int64, Q attacked rows.
        modality: Which half is attacked.
        searched: The database of the other one.
        store: Where deltas lie.
        aim: What a targeted attack wants its queries to find.

    Returns:
        One point for each number of steps; none for texts that are edited word by word.
    """
    if modality == "text" and config.attack.text_form is TextForm.edits:
        return ()
    attack = [attacker for attacker in attackers if attacker.query == "attack"]
    points = []
    for steps in config.evaluation.trace:
        shorter = replace(config, attack=replace(config.attack, steps=steps))
        with untracked():  # the curve of the objective is that of the whole attack
            made = craft(shorter, attack, black_box, pairs, rows, modality, store, Stopwatch(), aim)["attack"]
        found = measure(door, pairs, rows, modality, searched, given_delta(made.delta))
        points.append(TracePoint(modality.direction, steps, found.map, found.perceptibility.rms))
    return tuple(points)
