"""A run's Result, from everything that was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aach_lightning.config.split import protocol_name
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.evaluation.result import Result, TracePoint
from aach_lightning.evaluation.rows import DirectionOutcome
from aach_lightning.runtime.run import versions


def compose_result(
    experiment: Experiment,
    report: dict[str, Any],
    outcomes: Mapping[Modality, DirectionOutcome],
    agreement: dict[str, float],
    evaluation_items: int,
    trace: Sequence[TracePoint] = (),
) -> Result:
    """Put together what a run has measured.

    Args:
        experiment: What was run, and how long its stages took.
        report: Of the target's training.
        outcomes: By attacked modality.
        agreement: Of the surrogate with the target; empty where there is none.
        evaluation_items: Images and texts that measurements have sent to the target.
        trace: The attack after fewer steps.
    """
    config, pairs, split = experiment.config, experiment.pairs, experiment.split
    rows = tuple(row for outcome in outcomes.values() for row in outcome.rows)
    attacks = [row for row in rows if row.query == "attack"]
    chance: dict[str, float] = {outcome.rows[0].direction: outcome.chance for outcome in outcomes.values()}
    for outcome in outcomes.values():
        if outcome.targeted_chance is not None:
            chance[f"{outcome.rows[0].direction}_targeted"] = outcome.targeted_chance
    plain: dict[str, Any] = asdict(config)
    del plain["paths"]
    return Result(
        rows=rows,
        chance=chance,
        target=report,
        surrogate=agreement,
        queries={
            "budget_pairs": config.budget.pairs,
            "spent_pairs": max(row.pairs_queried for row in attacks),
            "spent_items": sum(row.items_queried for row in attacks),
            "evaluation_items": evaluation_items,
        },
        data={
            "name": pairs.name,
            "note": pairs.note,
            "pairs": len(pairs),
            "skipped": pairs.skipped,
            "attacked": config.evaluation.queries,
            "protocol": protocol_name(config.split),
            "query": len(split.query),
            "train": len(split.train),
            "database": len(split.database),
            "labels": len(pairs.label_names),
            "text_width": len(pairs.words),
            "hash": pairs.fingerprint,
            "split_hash": split.fingerprint,
        },
        config=plain,
        seed=config.seed,
        versions=versions(),
        stages=experiment.watch.stages,
        trace=tuple(trace),
    )
