"""MAP and distortion over the steps of an attack: the attack measured as if it had been stopped earlier."""

from collections.abc import Sequence
from dataclasses import replace

from aach_lightning.data.modality import Modality
from aach_lightning.evaluation.attackers import Attacker
from aach_lightning.evaluation.protocol import Evaluation, given_delta
from aach_lightning.evaluation.result import TracePoint
from aach_lightning.runtime.loggers import untracked
from aach_lightning.runtime.stopwatch import Stopwatch


def measure_trace(evaluation: Evaluation, attackers: Sequence[Attacker], modality: Modality) -> list[TracePoint]:
    """Measure the attack after each number of steps in `evaluation.trace`; nothing where it takes no steps.

    Each is an attack of its own with so many steps, with a place of its own in the store: whatever holds for an attack
    (determinism, any number of processes, going on after a kill) holds for it too. Codes that the attack has paid for
    are answered again for free.

    Args:
        evaluation: Measures.
        attackers: The attack alone is traced.
        modality: Which half is attacked.
    """
    experiment = evaluation.experiment
    attack, points = experiment.config.attack, []
    for attacker in attackers:
        if attacker.query != "attack" or not attacker.takes_steps(experiment, modality):
            continue
        for steps in experiment.config.evaluation.trace:
            shorter = replace(experiment.with_blocks(attack=replace(attack, steps=steps)), watch=Stopwatch())
            with untracked():  # the curve of the objective is that of the whole attack
                made = attacker.craft(shorter, modality)
            found = evaluation.measure(modality, given_delta(made.delta))
            points.append(TracePoint(modality.direction, steps, found.map, found.perceptibility.rms))
    return points
