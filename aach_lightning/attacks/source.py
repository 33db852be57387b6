"""The source of an attack: a frozen network whose gradients are followed, and the items that the attacker knows."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.attacks.items import Bank, ItemCodes, Items
from aach_lightning.attacks.objectives.objective import Loss, Objective
from aach_lightning.config.attack import AttackConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import HasCodes, Modality
from aach_lightning.networks.bfloat16 import BFloat16Network
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.runtime.batches import map_batches
from aach_lightning.runtime.depends import named
from aach_lightning.runtime.files import digest

AttackName = Literal["attack", "white_box"]
# batch_size, too: finished batches lie on disk until all are there
DELTA_KEYS = (
    "objective",
    "step",
    "gradient",
    "norm",
    "steps",
    "random_start",
    "query_anchor",
    "batch_size",
    "knows_defence",
)
BOUND_KEYS = {
    Modality.image: ("epsilon",),
    Modality.text: ("text_epsilon", "text_form", "edits", "edit_candidates", "edit_removes"),
}


@dataclass(frozen=True)
class Source:
    """Whose gradients an attack follows: the target's own network, a surrogate, an ensemble.

    Attributes:
        name: Of the row of the results.
        network: Gives the gradients; its weights never change.
        key: Artifact key of its weights, with what else tells it from another source of an equal attack.
        rows: int64, M rows of the data set that the attacker knows.
        answers: The target's codes of these where they were asked for, M x K of each modality; else None.
    """

    name: AttackName
    network: HashingNetwork
    key: str
    rows: NDArray[np.int64]
    answers: HasCodes[Tensor] | None = None

    def in_precision(self, experiment: Experiment) -> HashingNetwork:
        """The network as it computes gradients: itself, or a copy in bfloat16."""
        half = experiment.config.trainer.precision.startswith("bf16")
        return BFloat16Network(self.network) if half else self.network

    def ranking(self, config: AttackConfig, modality: Modality) -> Tensor | None:
        """The answers by which known items are ranked from queried anchors, M x K; None to rank by its own."""
        return modality.other.codes(self.answers) if config.query_anchor and self.answers is not None else None

    def depends_on(self, experiment: Experiment, modality: Modality) -> dict[str, Any]:
        """What every attack that follows this source depends on."""
        attack = experiment.config.attack
        return {
            "attack": named(attack, *DELTA_KEYS, *BOUND_KEYS[modality]),
            "modality": modality,
            "source": self.key,
            "bank": self.rows.tolist(),
            "answers": digest_codes(self.ranking(attack, modality)),
            "data": experiment.pairs.fingerprint,
            "seed": experiment.config.seed,
            **experiment.numerics,
        }


class Task:
    """What an attack minimises for one modality: an objective on the codes that a frozen source gives.

    Args:
        network: The source; frozen here, and kept in eval mode by the module that learns against it.
        bank: The items that the attacker knows.
        objective: What is minimised.
        modality: Which half of a pair is attacked.
    """

    def __init__(self, network: HashingNetwork, bank: Bank, objective: Objective, modality: Modality) -> None:
        network.requires_grad_(False)
        network.eval()
        # Convolutions follow the order of their weights: with channels last their gradients need no reordering.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network, self.bank, self.objective, self.modality = network, bank, objective, modality

    def hash(self, inputs: Tensor) -> Tensor:
        """Relaxed codes of the attacked modality, N x K."""
        return self.modality.hashed_by(self.network)(inputs)

    def loss(self, relaxed: Tensor, labels: Tensor, codes: ItemCodes) -> Loss:
        """The loss of N items.

        Args:
            relaxed: N x K, relaxed codes of the clean items.
            labels: uint8 in {0, 1}, N x C; read where the objective needs them.
            codes: Anchors and goals of the items.
        """
        anchors = binary_codes(relaxed) if codes.anchors is None else codes.anchors
        items = Items(relaxed, anchors, labels if self.objective.needs_labels else None, codes.goals)
        return self.objective.bind(items, self.bank.to(relaxed.device))


def relaxed_codes(
    network: HashingNetwork, experiment: Experiment, rows: NDArray[np.int64], *halves: Modality
) -> list[Tensor]:
    """The network's relaxed codes of some modalities of some rows, each N x K, on the CPU."""
    network, pairs, device = network.to(experiment.device), experiment.pairs, experiment.device

    def compute(some: NDArray[np.int64]) -> tuple[Tensor, ...]:
        batch = pairs.batch(some).to(device)
        return tuple(half.hashed_by(network)(half.of(batch)) for half in halves)

    return list(map_batches(compute, rows))


def build_bank(experiment: Experiment, source: Source, modality: Modality, objective: Objective) -> Bank:
    """Hash what the attacker knows; of the attacked modality, and with labels, where the objective reads them."""
    halves = [modality.other, modality] if objective.needs_own else [modality.other]
    relaxed = relaxed_codes(source.network, experiment, source.rows, *halves)
    ranking = source.ranking(experiment.config.attack, modality)
    return Bank(
        relaxed[0],
        binary_codes(relaxed[0]) if ranking is None else ranking,
        relaxed[1] if objective.needs_own else None,
        torch.from_numpy(experiment.pairs.labels[source.rows]) if objective.needs_labels else None,
    )


def digest_codes(codes: Tensor | None) -> str | None:
    """Hash of some codes; None where there are none."""
    return None if codes is None else digest(codes.numpy().tobytes())
