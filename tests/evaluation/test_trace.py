from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from aach_lightning import cli
from aach_lightning.attacks.source import Source
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.evaluation.attackers import GradientAttacker, SearchAttacker
from aach_lightning.evaluation.protocol import Evaluation
from aach_lightning.evaluation.result import Result
from aach_lightning.evaluation.trace import measure_trace
from aach_lightning.runtime.curves import read_rows

Compose = Callable[..., RunConfig]


def measured(config: RunConfig) -> Result:
    cli.measure(config)
    return Result.load(Path(config.paths.output) / "result.json")


def test_a_trace_is_what_a_shorter_attack_does(compose_toy: Compose, tmp_path: Path) -> None:
    traced = measured(compose_toy("evaluation.trace=[1]", "logger=csv"))
    assert [(point.direction, point.steps) for point in traced.trace] == [("I2T", 1), ("T2I", 1)]
    curve = read_rows(tmp_path / "output" / "curves" / "attack" / "image.csv")
    assert [row["step"] for row in curve] == [0, 1, 2]  # of the whole attack
    alone = measured(compose_toy("attack.steps=1"))
    assert alone.trace == ()
    for point in traced.trace:
        row = alone.row(point.direction, "attack")
        assert row is not None
        assert (point.map, point.rms) == (row.map, row.rms)
    assert traced.queries["spent_pairs"] == alone.queries["spent_pairs"] == 30
    assert traced.queries["evaluation_items"] == alone.queries["evaluation_items"] + 2 * 6


def test_edited_texts_and_searches_have_no_steps_to_trace(toy_experiment: Callable[..., Experiment]) -> None:
    nothing: Any = None
    edits = toy_experiment("evaluation.trace=[1]", "attack=aach_edits")
    source = Source("attack", nothing, "", np.arange(3))
    attackers = [GradientAttacker(source, "codes", False, 0, nothing, None), SearchAttacker(nothing, "")]
    assert measure_trace(Evaluation(edits, nothing, nothing), attackers, Modality.text) == []
