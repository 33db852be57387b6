"""The two commands, each a list of steps."""

import shutil
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from aach_lightning.attacks.crafting import attack_space, build_bank, ensure_deltas
from aach_lightning.attacks.module import Modality
from aach_lightning.data.load import load_pairs
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.protocols.choose import split_note, split_pairs
from aach_lightning.data.splits import Split
from aach_lightning.evaluation.gallery import Exhibit, attack_gallery
from aach_lightning.evaluation.result import Query, Result
from aach_lightning.evaluation.rows import DirectionOutcome, measure_direction
from aach_lightning.evaluation.surrogate_report import held_out_rows, surrogate_report
from aach_lightning.networks.build import with_known_defence
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.reports.picture import picture_title, save_picture
from aach_lightning.reports.table import show, show_report
from aach_lightning.reports.tracking import make_job, show_run, track_reports, track_result
from aach_lightning.runtime import choices, ranks
from aach_lightning.runtime.choices import Stage
from aach_lightning.runtime.files import digest_json, write_bytes
from aach_lightning.runtime.loggers import track
from aach_lightning.runtime.run import versions
from aach_lightning.runtime.schemas import RunConfig
from aach_lightning.runtime.split_schemas import protocol_name
from aach_lightning.runtime.stopwatch import Stopwatch
from aach_lightning.runtime.store import Artifact, ArtifactStore
from aach_lightning.runtime.trainer import compute_device, numerics
from aach_lightning.runtime.validate_split import validate_parts
from aach_lightning.runtime.wandb_run import check_login, wanted_by_agent
from aach_lightning.surrogates.training import Answers, ensure_surrogate, load_answers, load_surrogate
from aach_lightning.targets.access import open_target
from aach_lightning.targets.blackbox import BlackBox
from aach_lightning.targets.deployment import ensure_deployed
from aach_lightning.targets.training import CodeIndex, load_target, read_report

RESULT, PICTURE, SPLIT = "result.json", "attack.png", "split.json"


def train(config: RunConfig) -> None:
    """Build the target; with `stage=surrogate`, query it and build the surrogate too."""
    ranks.on_first(lambda: check_login(config.logger))
    console = Console(quiet=not ranks.is_first())
    store = ArtifactStore(Path(config.paths.store))
    pairs, split = _data(config)
    depends_on = {"stage": config.stage, **_depends_on(config, pairs, split)}
    memory = store.root / "train" / digest_json(depends_on)
    with track(config.logger, make_job(config, config.stage, depends_on, memory)):
        target = ensure_deployed(config, pairs, split, store)
        reports = {"target": read_report(target)}
        show_report("target", reports["target"], target.path, console)
        if config.stage is Stage.surrogate:
            black_box, _ = open_target(config, pairs, target)
            surrogate = ensure_surrogate(config, pairs, split, target, black_box, store)
            reports["surrogate"] = _agreement(config, pairs, split, surrogate, CodeIndex.load(target.path))
            show_report("surrogate", reports["surrogate"], surrogate.path, console)
        track_reports(reports)
    show_run(config.logger, memory, console)
    if ranks.is_first():
        shutil.rmtree(memory, ignore_errors=True)  # the next job of this kind has nothing to continue


def attack(config: RunConfig) -> None:
    """Attack the target and measure what is left of its retrieval; a run that was finished before is only shown."""
    ranks.on_first(lambda: check_login(config.logger))
    watch = Stopwatch()
    store = ArtifactStore(Path(config.paths.store))
    with watch.stage("data"):
        pairs, split = _data(config)
    depends_on = _depends_on(config, pairs, split)

    def build(folder: Path) -> None:
        with track(config.logger, make_job(config, "attack", depends_on, folder), at_once=True):
            _attack(config, pairs, split, store, watch, folder)

    finished = store.get_or_build("result", depends_on, build)
    if not finished.built and wanted_by_agent(config.logger):
        with track(config.logger, make_job(config, "attack", depends_on, Path(config.paths.output)), at_once=True):
            track_result(Result.load(finished.path / RESULT))
    ranks.on_first(lambda: _publish(config, finished, Console()))


def _attack(
    config: RunConfig, pairs: Pairs, split: Split, store: ArtifactStore, watch: Stopwatch, folder: Path
) -> None:
    with watch.stage("target"):
        target = ensure_deployed(config, pairs, split, store)
        index = CodeIndex.load(target.path)
        black_box, door = open_target(config, pairs, target)
    with watch.stage("surrogate"):
        surrogate = ensure_surrogate(config, pairs, split, target, black_box, store)
        answers = load_answers(surrogate)
    sources: dict[Query, tuple[HashingNetwork, str]] = {
        "attack": (with_known_defence(config, load_surrogate(config, pairs, surrogate)), surrogate.key)
    }
    if config.evaluation.white_box:
        own = load_target(config.target, pairs, target)
        sources["white_box"] = (with_known_defence(config, own), target.key)
    rows = split.query[: config.evaluation.queries]
    deltas: dict[Modality, dict[Query, Tensor]] = {}
    anchors_paid: dict[Modality, int] = {}
    for modality in _modalities(config):
        anchors = None
        if config.attack.query_anchor:
            anchors = ranks.on_first(partial(_query_anchors, black_box, pairs, rows, modality))
        anchors_paid[modality] = 0 if anchors is None else len(anchors)
        deltas[modality] = {}
        codes = None if anchors is None else (answers.text_codes if modality == "image" else answers.image_codes)
        for query, (source, key) in sources.items():
            with watch.stage(f"{query} {modality}") as speed:
                bank = partial(build_bank, source, pairs, answers.rows, modality, codes, compute_device(config.trainer))
                deltas[modality][query] = ensure_deltas(
                    config, query, source, key, bank, surrogate.key, pairs, rows, anchors, modality, store, speed
                )
    outcomes: dict[Modality, DirectionOutcome] = {}
    with watch.stage("measurement"):
        for modality, changes in deltas.items():
            outcomes[modality] = measure_direction(
                door,
                index,
                pairs,
                split,
                rows,
                modality,
                attack_space(config.attack, pairs, modality),
                changes,
                (answers.spent, anchors_paid[modality]),
                config.seed,
            )
        agreement = _agreement(config, pairs, split, surrogate, index)
    seen = sum(ranks.everyones(door.items))
    if not ranks.is_first():
        return
    split.save(folder / SPLIT)
    result = _result(config, pairs, split, target, answers, outcomes, agreement, seen, anchors_paid, watch)
    result.save(folder / RESULT)
    exhibits: list[Exhibit] = []
    if "image" in outcomes:
        exhibits = attack_gallery(config, pairs, split, rows, outcomes["image"], deltas["image"]["attack"])
        title = picture_title(config, pairs, outcomes["image"])
        save_picture(exhibits, config.attack.epsilon / 255, title, folder / PICTURE)
    track_result(result, exhibits)


def _depends_on(config: RunConfig, pairs: Pairs, split: Split) -> dict[str, Any]:
    """Everything that a result depends on: data by their content, hardware by its precision, no paths, no logger."""
    plain = asdict(config)
    for key in ("paths", "logger", "trainer", "stage", "data", "split"):
        del plain[key]
    data = {"name": pairs.name, "hash": pairs.fingerprint, "split": split.fingerprint}
    data |= {"protocol": protocol_name(config.split), "note": pairs.note}
    return {"config": plain, "data": data, **numerics(config.trainer)}


def _publish(config: RunConfig, finished: Artifact, console: Console) -> None:
    """Put a result into the folder of the run, and show it."""
    output = Path(config.paths.output)
    for name in (SPLIT, PICTURE, RESULT):  # the result last: where it is, the others are
        if (finished.path / name).exists():
            write_bytes(output / name, (finished.path / name).read_bytes())
    show(Result.load(output / RESULT), console)
    if not finished.built:
        console.print(f"finished before: {finished.path}", markup=False, soft_wrap=True)
    console.print(f"result:  {output / RESULT}", markup=False, soft_wrap=True)
    if (output / PICTURE).exists():
        console.print(f"picture: {output / PICTURE}", markup=False, soft_wrap=True)
    show_run(config.logger, finished.path, console)


def _data(config: RunConfig) -> tuple[Pairs, Split]:
    pairs = ranks.first_then_others(lambda: load_pairs(config.data, config.paths))
    split = split_pairs(config.split, pairs)
    validate_parts(config, len(split.query), len(split.train))
    return replace(pairs, note=split_note(config.split, pairs)), split


def _modalities(config: RunConfig) -> tuple[Modality, ...]:
    chosen = config.attack.modality
    if chosen is choices.Modality.both:
        return ("image", "text")
    return ("image",) if chosen is choices.Modality.image else ("text",)


def _query_anchors(black_box: BlackBox, pairs: Pairs, rows: NDArray[np.int64], modality: Modality) -> Tensor:
    batch = pairs.batch(rows)
    return black_box.query_images(batch.images) if modality == "image" else black_box.query_texts(batch.texts)


def _agreement(
    config: RunConfig, pairs: Pairs, split: Split, surrogate: Artifact, index: CodeIndex
) -> dict[str, float]:
    held_out = held_out_rows(split, config.evaluation.held_out, config.seed)
    network, answers = load_surrogate(config, pairs, surrogate), load_answers(surrogate)
    return surrogate_report(network, answers, index, pairs, held_out, compute_device(config.trainer))


def _result(
    config: RunConfig,
    pairs: Pairs,
    split: Split,
    target: Artifact,
    answers: Answers,
    outcomes: dict[Modality, DirectionOutcome],
    agreement: dict[str, float],
    evaluation_items: int,
    anchors_paid: dict[Modality, int],
    watch: Stopwatch,
) -> Result:
    plain: dict[str, Any] = asdict(config)
    del plain["paths"]
    return Result(
        rows=tuple(row for outcome in outcomes.values() for row in outcome.rows),
        chance={outcome.rows[0].direction: outcome.chance for outcome in outcomes.values()},
        target=read_report(target),
        surrogate=agreement,
        queries={
            "budget_pairs": config.budget.pairs,
            "spent_pairs": answers.spent,
            "spent_anchors": sum(anchors_paid.values()),
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
        stages=watch.stages,
    )
