"""Both doors to a trained target."""

from typing import Any

from aach_lightning.config.choices import Modalities, Selection, SourceName
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.splits import Split, gallery_rows
from aach_lightning.runtime.depends import named
from aach_lightning.runtime.files import digest_json
from aach_lightning.runtime.store import Artifact
from aach_lightning.targets.answers import RankedAnswers
from aach_lightning.targets.blackbox import BlackBox, EvaluationDoor
from aach_lightning.targets.deployment import deployed_target
from aach_lightning.targets.index import SPLIT, CodeIndex


def open_target(experiment: Experiment, artifact: Artifact) -> tuple[BlackBox, EvaluationDoor]:
    """Put a trained target, with its defence, behind a metered door for the attacker, and another one for measurements.

    The budget is M pairs; with `attack.query_anchor` also one query for each attacked item, with `attack.target_item`
    one for the code of that item. Runs are told apart by what they send: equal seed, budget and items share one count;
    where a surrogate decides which pairs are sent, equal surrogates do.
    """
    config, halves = experiment.config, len(experiment.modalities)
    anchors = config.evaluation.queries * halves if config.attack.query_anchor else 0
    wanted = 0 if config.attack.target_item is None else halves
    run: dict[str, Any] = {
        "seed": config.seed,
        "pairs": config.budget.pairs,
        "anchors": anchors,
        "modality": config.attack.modality if anchors or wanted else None,
    }
    if config.budget.selection is not Selection.random:
        learner = named(config, "surrogate", "mining")
        run["chosen_by"] = {**named(config, "budget")["budget"], **learner, **experiment.numerics}
    if wanted:
        run["item"] = config.attack.target_item
    return _doors(experiment, artifact, config.budget.pairs + anchors + wanted, run)


def open_for_attack(experiment: Experiment, artifact: Artifact) -> tuple[BlackBox, EvaluationDoor]:
    """Put a trained target behind both doors, with the budget of the configured attack."""
    searches = experiment.config.attack.source is SourceName.queries
    return (open_for_search if searches else open_target)(experiment, artifact)


def open_for_search(experiment: Experiment, artifact: Artifact) -> tuple[BlackBox, EvaluationDoor]:
    """Put a trained target behind the same doors with the budget of a search.

    It is `attack.queries` for each attacked direction, and no pair. Equal searches of equal items share one count.
    """
    config = experiment.config
    attack = config.attack
    run: dict[str, Any] = {
        "seed": config.seed,
        **named(attack, "search", "queries", "modality", "norm"),
        "attacked": config.evaluation.queries,
        "epsilon": None if attack.modality is Modalities.text else attack.epsilon,
        "text_epsilon": None if attack.modality is Modalities.image else attack.text_epsilon,
    }
    return _doors(experiment, artifact, (attack.queries or 0) * len(experiment.modalities), run)


def _doors(
    experiment: Experiment, artifact: Artifact, budget: int, run: dict[str, Any]
) -> tuple[BlackBox, EvaluationDoor]:
    config, target = experiment.config, deployed_target(experiment, artifact)
    form, name = _revealed(config, artifact), artifact.key
    if form is not None:  # another form, another ledger
        name = digest_json({"target": artifact.key, **config.answer.depended_on()})
    black_box = BlackBox(
        target,
        config.target.code_length,
        budget,
        experiment.store.root / "ledger" / f"{name}.ledger",
        identity=name,
        run=digest_json(run),
        reveals=form,
    )
    return black_box, EvaluationDoor(target, config.target.code_length)


def _revealed(config: RunConfig, artifact: Artifact) -> RankedAnswers | None:
    """The form of answers where these are no codes; also in front of a service that gives codes over HTTP."""
    if not config.answer.ranked:
        return None
    split, index = Split.load(artifact.path / SPLIT), CodeIndex.load(artifact.path)
    rows = gallery_rows(split, config.answer.gallery, config.target.seed)
    return RankedAnswers(index.image_codes[rows], index.text_codes[rows], config.answer.length, artifact.key)
