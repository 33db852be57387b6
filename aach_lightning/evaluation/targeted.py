"""Targeted attacks: what each query shall find, the code that stands for it, and how well it is found."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from aach_lightning.attacks.goals import other_labels, voted_anchors
from aach_lightning.config.attack import AttackConfig, TargetCodeObjectiveConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.errors import ConfigError
from aach_lightning.evaluation.protocol import Searched
from aach_lightning.retrieval import chance_level, mean_average_precision


@dataclass(frozen=True)
class Aim:
    """What an attacker wants its queries to find.

    Attributes:
        wanted: uint8 in {0, 1}, Q x C; an item of the database is a success if it has one of these labels.
        targets: int64, Q, the wanted label of each query, a column of `wanted`; None where one item is wanted.
        item: Row of that item in the data set; None where labels are wanted.
    """

    wanted: Tensor
    targets: Tensor | None
    item: int | None

    def codes(self, known: Tensor, labels: Tensor, seed: int) -> Tensor:
        """The code that each query is pulled to: int8 in {-1, +1}, Q x K.

        Args:
            known: int8 in {-1, +1}, M x K, codes of the modality that is not attacked: of items that the attacker
                knows, or of the wanted item alone.
            labels: uint8 in {0, 1}, M x C, of these items.
            seed: Base seed of the draw of voters.
        """
        if self.targets is None:
            return known.expand(len(self.wanted), -1)
        return voted_anchors(self.targets, known, labels, seed)


def aims_at_label(config: AttackConfig) -> bool:
    """Whether the attacker must know the labels of its own pairs to choose the items that vote."""
    return isinstance(config.objective, TargetCodeObjectiveConfig) and config.target_item is None


def choose_aim(experiment: Experiment) -> Aim | None:
    """What the configuration wants each attacked query to find; None for an attack without a target.

    A label that none of the pairs has whose codes the attacker knows cannot be aimed at.

    Raises:
        ConfigError: If a label or an item is not known.
    """
    config, pairs, rows = experiment.config.attack, experiment.pairs, experiment.attacked
    known, seed = experiment.queried, experiment.config.seed
    if not isinstance(config.objective, TargetCodeObjectiveConfig):
        return None
    labels = torch.from_numpy(pairs.labels)
    if config.target_item is not None:
        if config.target_item not in pairs.names:
            example = ", ".join(pairs.names[:3])
            raise ConfigError(
                f"attack.target_item={config.target_item}: no pair of {pairs.name} has that name; names are such as "
                f"{example}"
            )
        item = pairs.names.index(config.target_item)
        if not bool(labels[item].any()):
            raise ConfigError(f"attack.target_item={config.target_item}: has no label, so that nothing is like it")
        return Aim(labels[item].expand(len(rows), -1), None, item)
    possible = labels[torch.from_numpy(known)].bool().any(dim=0)
    aimable = [name for name, found in zip(pairs.label_names, possible.tolist(), strict=True) if found]
    if config.target_label is None:
        if not aimable:
            raise ConfigError("attack.target_label=null: none of the pairs that the attacker knows has a label")
        targets = other_labels(labels[torch.from_numpy(rows)], torch.from_numpy(rows), possible, seed)
    elif config.target_label in aimable:
        targets = torch.full((len(rows),), pairs.label_names.index(config.target_label))
    else:
        raise ConfigError(
            f"attack.target_label={config.target_label}: must be null, for another label for each query, or one that "
            f"the attacker's {len(known)} pairs have: {', '.join(aimable)}"
        )
    return Aim(F.one_hot(targets, labels.shape[1]).to(torch.uint8), targets, None)


def targeted_map(codes: Tensor, own: Tensor, wanted: Tensor, searched: Searched) -> float | None:
    """MAP where an item is relevant if it has a label that the attacker wants (t-MAP of DHTA, ECCV 2020).

    Args:
        codes: int8 in {-1, +1}, Q x K.
        own: uint8 in {0, 1}, Q x C, labels of the queries. One that has a wanted label itself is left out: to find it
            would be no success.
        wanted: uint8 in {0, 1}, Q x C.
        searched: The database.

    Returns:
        In [0, 1], expected over random ties; None where no query is left.
    """
    foreign = are_foreign(own, wanted)
    if not bool(foreign.any()):
        return None
    return mean_average_precision(codes[foreign], wanted[foreign], searched.codes, searched.labels)


def targeted_chance(own: Tensor, wanted: Tensor, searched: Searched) -> float | None:
    """Targeted MAP of a system that answers with one constant code; None as for `targeted_map`."""
    foreign = are_foreign(own, wanted)
    return chance_level(wanted[foreign], searched.labels) if bool(foreign.any()) else None


def are_foreign(own: Tensor, wanted: Tensor) -> Tensor:
    """Which queries have none of the labels that they shall find: bool, Q."""
    return ~(own & wanted).bool().any(dim=1)
