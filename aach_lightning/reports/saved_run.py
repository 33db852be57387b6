"""What a finished run writes into its folder: result, split, curves, pictures, and what else its attack leaves."""

from collections.abc import Mapping
from pathlib import Path

import torch

from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.evaluation.adversarial import adversarial_set
from aach_lightning.evaluation.attackers import Crafted
from aach_lightning.evaluation.exhibits import GALLERY, save_exhibits
from aach_lightning.evaluation.gallery import Exhibit, attack_gallery
from aach_lightning.evaluation.result import Query, Result
from aach_lightning.evaluation.retrieval_curves import CURVES, retrieval_curves
from aach_lightning.evaluation.rows import DirectionOutcome
from aach_lightning.evaluation.words import edits_texts, word_changes
from aach_lightning.reports.picture import picture_title, save_picture
from aach_lightning.reports.run_folder import ADVERSARIAL, PICTURE, RESULT, SPLIT, WORDS
from aach_lightning.runtime.files import write_json
from aach_lightning.runtime.loggers import log_folder
from aach_lightning.runtime.store import Artifact


def save_run(
    experiment: Experiment,
    target: Artifact,
    result: Result,
    outcomes: Mapping[Modality, DirectionOutcome],
    crafted: Mapping[Modality, Mapping[Query, Crafted]],
    folder: Path,
) -> list[Exhibit]:
    """Write a finished run; the first process does.

    Args:
        experiment: What was run.
        target: What was attacked.
        result: Every row.
        outcomes: What was measured, by attacked modality.
        crafted: What each attacker has made, by attacked modality.
        folder: Where to.

    Returns:
        The attacked images that the run shows; none where texts alone were attacked.
    """
    config, pairs, rows = experiment.config, experiment.pairs, experiment.attacked
    experiment.split.save(folder / SPLIT)
    result.save(folder / RESULT)
    retrieval_curves(outcomes.values(), torch.from_numpy(pairs.labels[rows])).save(folder / CURVES)
    if edits_texts(config.attack):
        deltas = {query: made.delta for query, made in crafted[Modality.text].items()}
        write_json(folder / WORDS, word_changes(pairs, rows, deltas))
    if config.evaluation.save_adversarial:
        attacked = {modality: made["attack"].delta for modality, made in crafted.items()}
        adversarial_set(experiment, target.key, attacked).save(folder / ADVERSARIAL)
        log_folder(folder / ADVERSARIAL)
    if Modality.image not in outcomes:
        return []
    exhibits = attack_gallery(experiment, outcomes[Modality.image], crafted[Modality.image]["attack"].delta)
    title = picture_title(config, pairs, outcomes[Modality.image])
    save_picture(exhibits, config.attack.epsilon / 255, title, folder / PICTURE)
    save_exhibits(exhibits, folder / GALLERY)
    return exhibits
