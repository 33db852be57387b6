"""The floor that every attack must beat: random changes of full size, drawn for each item from (seed, id) alone."""

import torch
from torch import Tensor

from aach_lightning.attacks.build import attack_space, edits_words
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import PairBatch
from aach_lightning.evaluation.protocol import Delta
from aach_lightning.evaluation.words import texts_of
from aach_lightning.perturbations.edits import random_edits
from aach_lightning.runtime.seeding import torch_generator


def noise_delta(experiment: Experiment, modality: Modality) -> Delta:
    """Random signs at full epsilon."""
    seed, space = experiment.config.seed, attack_space(experiment, modality)
    return lambda positions, batch: space.sign_noise(modality.of(batch), random_signs(seed, modality, batch))


def noise_edits(experiment: Experiment) -> Tensor:
    """As many words added and removed at random as an attack may edit: the change of each attacked text, Q x D."""
    attack, rows = experiment.config.attack, experiment.attacked
    texts = texts_of(experiment.pairs, rows)
    edited = random_edits(texts, torch.from_numpy(rows), attack.edits, attack.edit_removes, experiment.config.seed)
    return edited - texts


def change_bound(experiment: Experiment, modality: Modality) -> float:
    """Largest change that is allowed: epsilon in units of the input, or the number of words."""
    attack = experiment.config.attack
    return float(attack.edits) if edits_words(attack, modality) else attack_space(experiment, modality).epsilon


def random_signs(seed: int, modality: Modality, batch: PairBatch) -> Tensor:
    """Signs in {-1, +1} for each attacked item, float32, N x ..."""
    shape = modality.of(batch).shape[1:]
    draws = [
        torch.randint(0, 2, shape, generator=torch_generator(seed, "noise", modality, item))
        for item in batch.ids.tolist()
    ]
    return torch.stack(draws).float() * 2 - 1
