"""What experiment tracking is told of a job: its name and configuration, its numbers, its tables."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from rich.console import Console

from aach_lightning.config.schema import LoggerConfig, RunConfig
from aach_lightning.evaluation.gallery import Exhibit, Found
from aach_lightning.evaluation.result import Result, Row
from aach_lightning.reports.exhibits import to_pixels
from aach_lightning.reports.frame import flatten
from aach_lightning.runtime.files import digest_json
from aach_lightning.runtime.loggers import log_outcome
from aach_lightning.runtime.run import sweep_name, sweep_overrides
from aach_lightning.runtime.wandb_run import Job, Table, find_run

_LONGEST_NAME = 128  # of W&B
_UNTOLD = ("logger", "paths.", "hydra.")  # overrides that say nothing about an experiment


def make_job(config: RunConfig, kind: str, depends_on: Mapping[str, Any], memory: Path) -> Job:
    """Describe a job.

    Args:
        config: The whole configuration.
        kind: The stage that it leads to: "target", "surrogate" or "attack".
        depends_on: Everything that its result depends on; has "data" with the hashes of data and split.
        memory: Folder that a killed job finds again.
    """
    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    hashes = {
        "key": digest_json(dict(depends_on)),
        "data_hash": depends_on["data"]["hash"],
        "split_hash": depends_on["data"]["split"],
    }
    return Job(kind, _name(config, kind), sweep_name(), plain | hashes, memory, Path(config.paths.output))


def _name(config: RunConfig, kind: str) -> str:
    told = [text for text in sweep_overrides() if not text.lstrip("+~").startswith(_UNTOLD)]
    values = {
        "target": f"K={config.target.code_length} seed={config.target.seed}",
        "surrogate": f"M={config.budget.pairs} seed={config.seed}",
        "attack": f"M={config.budget.pairs} eps={config.attack.epsilon:g} seed={config.seed}",
    }
    return (" ".join(told) or values[kind])[:_LONGEST_NAME]


def track_result(result: Result, exhibits: Sequence[Exhibit] = ()) -> None:
    """Tell the W&B run of the job, if there is one, the outcome of an attack.

    Args:
        result: Every row and the budget spent.
        exhibits: Attacked images; none where the result was found finished, or images were not attacked.
    """
    tables = {"result/table": _row_table(result.rows)}
    if exhibits:
        tables["result/gallery"] = _gallery_table(exhibits, result.config["attack"]["epsilon"] / 255)
    log_outcome(_result_numbers(result), tables)


def track_reports(reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Tell the W&B run of the job, if there is one, what trained stages say of themselves, by stage."""
    log_outcome(_numbers({"report": reports}), {})


def show_run(config: LoggerConfig, memory: Path, console: Console) -> None:
    """Print where the W&B run of a job is to be seen, or how it is sent; nothing where there is none."""
    if (run := find_run(config, memory)) is not None:
        console.print(f"W&B:     {run}", markup=False, soft_wrap=True)


def _result_numbers(result: Result) -> dict[str, float]:
    measured: dict[str, Any] = {direction: {"chance": chance} for direction, chance in result.chance.items()}
    for row in result.rows:
        measured[row.direction][row.query] = asdict(row)
    reports = {"target": result.target, "surrogate": result.surrogate}
    return _numbers({"result": measured, "queries": result.queries, "report": reports})


def _numbers(tree: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of nested dicts by their path; W&B makes sections of paths."""
    flat = flatten(tree)
    return {key.replace(".", "/"): value for key, value in flat.items() if isinstance(value, int | float)}


def _row_table(rows: Sequence[Row]) -> Table:
    return Table([field.name for field in fields(Row)], [list(asdict(row).values()) for row in rows])


def _gallery_table(exhibits: Sequence[Exhibit], epsilon: float) -> Table:
    return Table(
        ("name", "clean", "perturbation", "adversarial", "bits moved", "texts, clean", "texts, adversarial"),
        [
            [
                exhibit.name,
                to_pixels(exhibit.clean),
                to_pixels(exhibit.amplified_delta(epsilon)),
                to_pixels(exhibit.adversarial),
                exhibit.moved,
                _lines(exhibit.before),
                _lines(exhibit.after),
            ]
            for exhibit in exhibits
        ],
    )


def _lines(found: Sequence[Found]) -> str:
    return "\n".join(f"{'●' if hit.relevant else '○'} {hit.text}" for hit in found)
