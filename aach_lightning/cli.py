"""The two commands, each a list of steps."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from aach_lightning.attacks.build import attack_space
from aach_lightning.attacks.items import Modality
from aach_lightning.config import choices
from aach_lightning.config.choices import SourceName, Stage
from aach_lightning.config.method import HttpConfig
from aach_lightning.config.schema import RunConfig
from aach_lightning.config.split import protocol_name
from aach_lightning.config.validate_split import validate_parts
from aach_lightning.data.load import load_pairs
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.protocol import split_note, split_pairs
from aach_lightning.data.splits import Split
from aach_lightning.evaluation.adversarial import adversarial_set
from aach_lightning.evaluation.attackers import craft, find_attackers
from aach_lightning.evaluation.composition import compose_result
from aach_lightning.evaluation.exhibits import GALLERY, save_exhibits
from aach_lightning.evaluation.gallery import Exhibit, attack_gallery
from aach_lightning.evaluation.result import Result
from aach_lightning.evaluation.retrieval_curves import CURVES, retrieval_curves
from aach_lightning.evaluation.rows import DirectionOutcome, measure_direction
from aach_lightning.evaluation.searching import craft_by_search
from aach_lightning.evaluation.surrogate_report import held_out_rows, surrogate_report
from aach_lightning.evaluation.targeted import choose_aim
from aach_lightning.evaluation.trace import measure_trace
from aach_lightning.evaluation.words import check_words, draw_edits, edits_texts, word_changes
from aach_lightning.reports.picture import picture_title, save_picture
from aach_lightning.reports.run_folder import ADVERSARIAL, PICTURE, RESULT, SPLIT, WORDS, publish, show_folder
from aach_lightning.reports.table import show, show_report
from aach_lightning.reports.tracking import make_job, show_run, track_reports, track_result
from aach_lightning.runtime import ranks
from aach_lightning.runtime.files import digest_json, write_json
from aach_lightning.runtime.loggers import log_folder, track
from aach_lightning.runtime.stopwatch import Stopwatch
from aach_lightning.runtime.store import Artifact, ArtifactStore
from aach_lightning.runtime.trainer import compute_device, numerics
from aach_lightning.runtime.wandb_run import check_login, wanted_by_agent
from aach_lightning.surrogates.queries import queried_rows
from aach_lightning.surrogates.training import ensure_surrogate, load_answers, load_surrogate
from aach_lightning.targets.access import open_for_search, open_target
from aach_lightning.targets.deployment import ensure_deployed
from aach_lightning.targets.training import CodeIndex, read_report
from aach_lightning.zoo.checkpoint_deployment import method_identity


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
    finished = _finish(config)
    ranks.on_first(lambda: _show(config, finished, Console()))


def measure(config: RunConfig) -> None:
    """The same without a word: what was found is written into the folder of the run."""
    finished = _finish(config)
    ranks.on_first(lambda: publish(finished.path, Path(config.paths.output)))


def _finish(config: RunConfig) -> Artifact:
    ranks.on_first(lambda: check_login(config.logger))
    watch = Stopwatch()
    store = ArtifactStore(Path(config.paths.store))
    with watch.stage("data"):
        pairs, split = _data(config)
        if edits_texts(config.attack):
            check_words(pairs)
    remote = None
    if isinstance(config.target.method, HttpConfig):  # who answers at an address is known once it was asked
        with watch.stage("target"):
            remote = ensure_deployed(config, pairs, split, store)
    depends_on = _depends_on(config, pairs, split, remote)

    def build(folder: Path) -> None:
        with track(config.logger, make_job(config, "attack", depends_on, folder), at_once=True):
            _attack(config, pairs, split, store, watch, folder, remote)

    finished = store.get_or_build("result", depends_on, build)
    if not finished.built and wanted_by_agent(config.logger):
        with track(config.logger, make_job(config, "attack", depends_on, Path(config.paths.output)), at_once=True):
            track_result(Result.load(finished.path / RESULT))
    return finished


def _attack(
    config: RunConfig,
    pairs: Pairs,
    split: Split,
    store: ArtifactStore,
    watch: Stopwatch,
    folder: Path,
    remote: Artifact | None,
) -> None:
    rows = split.query[: config.evaluation.queries]
    aim = choose_aim(config.attack, pairs, rows, queried_rows(split, config.budget.pairs, config.seed), config.seed)
    with watch.stage("target"):
        target = ensure_deployed(config, pairs, split, store) if remote is None else remote
        index = CodeIndex.load(target.path)
        by_search = config.attack.source is SourceName.queries
        black_box, door = (open_for_search if by_search else open_target)(config, pairs, target)
    surrogate = None
    if config.attack.source is SourceName.surrogate:
        with watch.stage("surrogate"):
            surrogate = ensure_surrogate(config, pairs, split, target, black_box, store)
    attackers = [] if by_search else find_attackers(config, pairs, split, target, surrogate)
    crafted = {
        modality: craft_by_search(config, target, black_box, pairs, rows, modality, store, watch)
        if by_search
        else craft(config, attackers, black_box, pairs, rows, modality, store, watch, aim)
        for modality in _modalities(config)
    }
    edited = edits_texts(config.attack)
    outcomes: dict[Modality, DirectionOutcome] = {}
    with watch.stage("measurement"):
        for modality, made in crafted.items():
            outcomes[modality] = measure_direction(
                door,
                index,
                pairs,
                split,
                rows,
                modality,
                attack_space(config.attack, pairs, modality),
                made,
                config.seed,
                draw_edits(config.attack, pairs, rows, config.seed) if edited and modality == "text" else None,
                None if aim is None else aim.wanted,
            )
        trace = [
            point
            for modality, outcome in outcomes.items()
            for point in measure_trace(
                config, attackers, black_box, door, pairs, rows, modality, outcome.searched, store, aim
            )
        ]
        agreement = {} if surrogate is None else _agreement(config, pairs, split, surrogate, index)
    seen = sum(ranks.everyones(door.items))
    if not ranks.is_first():
        return
    split.save(folder / SPLIT)
    result = compose_result(config, pairs, split, read_report(target), outcomes, agreement, seen, watch, tuple(trace))
    result.save(folder / RESULT)
    retrieval_curves(outcomes.values(), torch.from_numpy(pairs.labels[rows])).save(folder / CURVES)
    if edited:
        made = crafted["text"]
        write_json(folder / WORDS, word_changes(pairs, rows, {query: made[query].delta for query in made}))
    if config.evaluation.save_adversarial:
        deltas = {modality: made["attack"].delta for modality, made in crafted.items()}
        adversarial_set(config, pairs, split, target.key, rows, deltas).save(folder / ADVERSARIAL)
        log_folder(folder / ADVERSARIAL)
    exhibits: list[Exhibit] = []
    if "image" in outcomes:
        exhibits = attack_gallery(config, pairs, split, rows, outcomes["image"], crafted["image"]["attack"].delta)
        title = picture_title(config, pairs, outcomes["image"])
        save_picture(exhibits, config.attack.epsilon / 255, title, folder / PICTURE)
        save_exhibits(exhibits, folder / GALLERY)
    track_result(result, exhibits)


def _depends_on(config: RunConfig, pairs: Pairs, split: Split, remote: Artifact | None = None) -> dict[str, Any]:
    """Everything that a result depends on: data by their content, hardware by its precision, no paths, no logger.

    A target that answers over HTTP by what it is, not by its address: `remote` has the key of its identity.
    """
    plain = asdict(config)
    for key in ("paths", "logger", "trainer", "stage", "data", "split", "answer"):
        del plain[key]
    plain["target"]["method"] = method_identity(config.target.method)
    plain |= config.answer.depended_on()
    if remote is not None:
        plain["target"] = {"name": config.target.name, "deployed": remote.key}
    data = {"name": pairs.name, "hash": pairs.fingerprint, "split": split.fingerprint}
    data |= {"protocol": protocol_name(config.split), "note": pairs.note}
    return {"config": plain, "data": data, **numerics(config.trainer)}


def _show(config: RunConfig, finished: Artifact, console: Console) -> None:
    output = Path(config.paths.output)
    show(publish(finished.path, output), console)
    show_folder(output, None if finished.built else finished.path, console)
    show_run(config.logger, finished.path, console)


def _data(config: RunConfig) -> tuple[Pairs, Split]:
    pairs = ranks.first_then_others(lambda: load_pairs(config.data, config.paths))
    split = split_pairs(config.split, pairs)
    validate_parts(config, len(split.query), len(split.train), len(split.database))
    return replace(pairs, note=split_note(config.split, pairs)), split


def _modalities(config: RunConfig) -> tuple[Modality, ...]:
    chosen = config.attack.modality
    if chosen is choices.Modality.both:
        return ("image", "text")
    return ("image",) if chosen is choices.Modality.image else ("text",)


def _agreement(
    config: RunConfig, pairs: Pairs, split: Split, surrogate: Artifact, index: CodeIndex
) -> dict[str, float]:
    held_out = held_out_rows(split, config.evaluation.held_out, config.seed)
    network, answers = load_surrogate(config, pairs, surrogate), load_answers(surrogate)
    return surrogate_report(network, answers, index, pairs, held_out, compute_device(config.trainer))
