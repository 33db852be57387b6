"""The two commands, each a list of steps."""

import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.console import Console

from aach_lightning.config.choices import Stage
from aach_lightning.config.schema import RunConfig
from aach_lightning.config.split import protocol_name
from aach_lightning.data.experiment import Experiment
from aach_lightning.evaluation.attackers import find_attackers, needed_surrogate
from aach_lightning.evaluation.composition import compose_result
from aach_lightning.evaluation.protocol import Evaluation
from aach_lightning.evaluation.result import Result
from aach_lightning.evaluation.rows import measure_direction
from aach_lightning.evaluation.surrogate_report import agreement
from aach_lightning.evaluation.targeted import choose_aim
from aach_lightning.evaluation.trace import measure_trace
from aach_lightning.evaluation.words import check_words
from aach_lightning.reports.run_folder import RESULT, publish, show_folder
from aach_lightning.reports.saved_run import save_run
from aach_lightning.reports.table import show, show_report
from aach_lightning.reports.tracking import make_job, show_run, track_reports, track_result
from aach_lightning.runtime import ranks
from aach_lightning.runtime.depends import named
from aach_lightning.runtime.files import digest_json
from aach_lightning.runtime.loggers import track
from aach_lightning.runtime.store import Artifact
from aach_lightning.runtime.wandb_run import check_login, wanted_by_agent
from aach_lightning.surrogates.training import ensure_surrogate
from aach_lightning.targets.access import open_for_attack, open_target
from aach_lightning.targets.deployment import Deployment, deployment_of
from aach_lightning.targets.index import CodeIndex, read_report

# data, split and answer count by what they come to, trainer by its precision; stage, logger and paths change no result
COUNTED = ("seed", "target", "budget", "mining", "surrogate", "attack", "evaluation")


def train(config: RunConfig) -> None:
    """Build the target; with `stage=surrogate`, query it and build the surrogate too."""
    console = Console(quiet=not ranks.is_first())
    experiment = _load(config)
    deployment = deployment_of(experiment)
    depends_on = {"stage": config.stage, **_depends_on(experiment, deployment)}
    memory = experiment.store.root / "train" / digest_json(depends_on)
    with track(config.logger, make_job(config, config.stage, depends_on, memory)):
        target = deployment.ensure()
        reports = {"target": read_report(target)}
        show_report("target", reports["target"], target.path, console)
        if config.stage is Stage.surrogate:
            surrogate = ensure_surrogate(experiment, target, open_target(experiment, target)[0])
            reports["surrogate"] = agreement(experiment, surrogate, CodeIndex.load(target.path))
            show_report("surrogate", reports["surrogate"], surrogate.path, console)
        track_reports(reports)
    show_run(config.logger, memory, console)
    if ranks.is_first():
        shutil.rmtree(memory, ignore_errors=True)  # the next job of this kind has nothing to continue


def attack(config: RunConfig) -> None:
    """Attack the target and measure what is left of its retrieval; a run that was finished before is only shown."""
    finished = finish(_load(config))
    ranks.on_first(lambda: _show(config, finished, Console()))


def measure(config: RunConfig) -> None:
    """Attack and measure as `attack` does, and print nothing: the result is written into the folder of the run."""
    finished = finish(_load(config))
    ranks.on_first(lambda: publish(finished.path, Path(config.paths.output)))


def finish(experiment: Experiment) -> Artifact:
    """Find the result of an experiment, or attack and measure."""
    check_words(experiment)
    logger, deployment = experiment.config.logger, deployment_of(experiment)
    with experiment.watch.stage("target"):
        depends_on = _depends_on(experiment, deployment)

    def job(folder: Path) -> AbstractContextManager[None]:
        return track(logger, make_job(experiment.config, "attack", depends_on, folder), at_once=True)

    def build(folder: Path) -> None:
        with job(folder):
            _attack(experiment, deployment, folder)

    finished = experiment.store.get_or_build("result", depends_on, build)
    if not finished.built and wanted_by_agent(logger):
        with job(Path(experiment.config.paths.output)):
            track_result(Result.load(finished.path / RESULT))
    return finished


def _attack(experiment: Experiment, deployment: Deployment, folder: Path) -> None:
    aim = choose_aim(experiment)
    with experiment.watch.stage("target"):
        target = deployment.ensure()
        index = CodeIndex.load(target.path)
        black_box, door = open_for_attack(experiment, target)
    surrogate = needed_surrogate(experiment, target, black_box)
    attackers = find_attackers(experiment, target, black_box, surrogate, aim)
    crafted = {
        modality: {attacker.query: attacker.craft(experiment, modality) for attacker in attackers}
        for modality in experiment.modalities
    }
    evaluation = Evaluation(experiment, door, index)
    with experiment.watch.stage("measurement"):
        outcomes = {half: measure_direction(evaluation, half, made, aim) for half, made in crafted.items()}
        trace = [point for modality in outcomes for point in measure_trace(evaluation, attackers, modality)]
        learned = {} if surrogate is None else agreement(experiment, surrogate, index)
    seen = sum(ranks.everyones(door.items))
    if ranks.is_first():
        result = compose_result(experiment, read_report(target), outcomes, learned, seen, trace)
        track_result(result, save_run(experiment, target, result, outcomes, crafted, folder))


def _load(config: RunConfig) -> Experiment:
    ranks.on_first(lambda: check_login(config.logger))
    return Experiment.load(config)


def _depends_on(experiment: Experiment, deployment: Deployment) -> dict[str, Any]:
    """Everything that a result depends on: data by their content, hardware by its precision, no paths, no logger."""
    config, pairs = experiment.config, experiment.pairs
    plain = named(config, *COUNTED) | {"target": deployment.identity()} | config.answer.depended_on()
    data = {"name": pairs.name, "hash": pairs.fingerprint, "split": experiment.split.fingerprint}
    data |= {"protocol": protocol_name(config.split), "note": pairs.note}
    return {"config": plain, "data": data, **experiment.numerics}


def _show(config: RunConfig, finished: Artifact, console: Console) -> None:
    output = Path(config.paths.output)
    show(publish(finished.path, output), console)
    show_folder(output, None if finished.built else finished.path, console)
    show_run(config.logger, finished.path, console)
