"""A card's MAP, measured again on the adversarial queries that its run has saved."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aach_lightning.config.schema import RunConfig
from aach_lightning.data.adversarial_set import MANIFEST, AdversarialSet
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.errors import DataError
from aach_lightning.evaluation.card import Card
from aach_lightning.evaluation.claims import broken_claims
from aach_lightning.evaluation.protocol import search, searched_database
from aach_lightning.reports.frame import flatten
from aach_lightning.reports.naming import system
from aach_lightning.reports.trust import trusted_overrides
from aach_lightning.runtime.compose import compose_config
from aach_lightning.runtime.files import digest
from aach_lightning.targets.blackbox import EvaluationDoor
from aach_lightning.targets.deployment import deployed_target, ensure_deployed
from aach_lightning.targets.index import CodeIndex

_ROUNDING = 1e-6


@dataclass(frozen=True)
class Verification:
    """What came of a card.

    Attributes:
        claimed: MAP on the card.
        found: MAP of the saved queries; None where they were not those of the card.
        reasons: Why the card is not believed; none where it is.
    """

    claimed: float
    found: float | None
    reasons: tuple[str, ...]


def verify(path: Path, folder: Path | None, overrides: Sequence[str], tolerance: float) -> Verification:
    """Measure a card again: the target is built or found, and shown the saved queries.

    Args:
        path: The card.
        folder: Its adversarial queries; None looks beside the card, as the benchmark leaves them.
        overrides: After those that `trust.trusted_overrides` takes from the card: where data and store lie here.
        tolerance: Largest difference of MAP; weights trained on another machine differ in their last digits.

    Raises:
        DataError: If the card or its queries cannot be read, or were not saved.
        ConfigError: If the overrides do not fit.
    """
    card = Card.load(path)
    if card.adversarial is None:
        raise DataError(
            f"{path}: no adversarial queries were saved with this row; run the benchmark with "
            "evaluation.save_adversarial=true, and take the card of an attack"
        )
    saved = AdversarialSet.load(_find(path, card.adversarial) if folder is None else _checked(folder, card.adversarial))
    config = compose_config(trusted_overrides(card.overrides, overrides), path.parent)
    experiment = Experiment.load(config, target_only=True)
    pairs, split, rows = experiment.pairs, experiment.split, experiment.attacked
    reasons = broken_claims(card)
    for name, here in (("hash", pairs.fingerprint), ("split_hash", split.fingerprint)):
        if card.data[name] != here:
            reasons.append(f"data.{name} is {card.data[name]} on the card and {here} here")
    told, built = (system(flatten(target, "target.")) for target in (card.target, _plain(config)))
    if told != built:
        reasons.append(f"the target is {told} on the card, and its overrides make {built}")
    if not np.array_equal(saved.rows, rows):
        reasons.append("the saved queries are not the first of the query part")
    if reasons:
        return Verification(card.row.map, None, tuple(reasons))
    modality = Modality.image if card.row.direction == "I2T" else Modality.text
    reasons += _bounds(card, saved, pairs, modality)
    target = ensure_deployed(experiment)
    door = EvaluationDoor(deployed_target(experiment, target), config.target.code_length)
    codes = _codes(door, saved, modality)
    found = search(codes, pairs, rows, searched_database(CodeIndex.load(target.path), pairs, split, modality))
    if abs(found - card.row.map) > tolerance:
        reasons.append(f"MAP is {card.row.map:.4f} on the card and {found:.4f} here")
    return Verification(card.row.map, found, tuple(reasons))


def _plain(config: RunConfig) -> dict[str, Any]:
    target: dict[str, Any] = json.loads(json.dumps(asdict(config.target)))
    return target


def _find(path: Path, wanted: str) -> Path:
    manifests = sorted(path.parent.parent.glob(f"runs/*/*/{MANIFEST}"))
    for manifest in manifests:
        if digest(manifest.read_bytes()) == wanted:
            return manifest.parent
    raise DataError(f"none of {len(manifests)} runs beside {path} saved these queries; give their --adversarial FOLDER")


def _checked(folder: Path, wanted: str) -> Path:
    try:
        found = digest((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {folder / MANIFEST}: {error.strerror}") from error
    if found != wanted:
        raise DataError(f"--adversarial={folder}: its manifest has the hash {found}, the card names {wanted}")
    return folder


def _half(saved: AdversarialSet, modality: Modality) -> Tensor:
    """Saved images as 8-bit levels, or saved texts."""
    images = None if saved.images is None else torch.from_numpy(saved.images)
    half = images if modality == "image" else saved.texts
    if half is None:
        raise DataError(f"the saved queries have no {modality}s")
    return half


def _codes(door: EvaluationDoor, saved: AdversarialSet, modality: Modality) -> Tensor:
    half = _half(saved, modality)
    return door.image_codes(half.float() / 255) if modality == "image" else door.text_codes(half)


def _bounds(card: Card, saved: AdversarialSet, pairs: Pairs, modality: Modality) -> list[str]:
    """The norm of what was changed, in exact levels for images."""
    batch, half = pairs.batch(saved.rows), _half(saved, modality).double()
    if modality == "image":
        change, most, unit = half - (batch.images * 255).round().double(), card.epsilon, "levels"
    else:
        change, most, unit = half - batch.texts.double(), card.text_epsilon, "units of an entry"
    change = change.flatten(1)
    if card.row.words is not None:
        sizes, most, unit = (change != 0).sum(dim=1).double(), card.row.epsilon, "words"
    elif card.norm == "l2":
        sizes = change.norm(dim=1)
        if modality == "image":  # rounding to 8 bits moves an entry by up to half a level after the bound was kept
            most += 0.5 * change.shape[1] ** 0.5
    else:
        sizes = change.abs().amax(dim=1)
    size = float(sizes.max())
    return [f"a change of {size:g} {unit}, {most:g} are allowed"] if size > most + _ROUNDING else []
