"""Adversarial pairs crafted against a trained target, and the train part with them added (CMLA)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from aach_lightning.config.target import CmlaHardeningConfig, HardeningConfig
from aach_lightning.data.dataset import PairDataset
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import PairBatch, Pairs
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.networks.likelihood import inverted_likelihood, likelihood
from aach_lightning.perturbations.descent import PGD
from aach_lightning.perturbations.space import Space
from aach_lightning.runtime import ranks
from aach_lightning.runtime.batches import BATCH
from aach_lightning.runtime.checkpoints import is_readable, load_tensors, save_tensors
from aach_lightning.targets.contents import image_levels, level_images


@dataclass(frozen=True)
class TrainCodes:
    """What a trained target makes of its train part.

    Attributes:
        image_codes: n x K float, relaxed.
        text_codes: n x K float, relaxed.
        labels: uint8 in {0, 1}, n x C.
    """

    image_codes: Tensor
    text_codes: Tensor
    labels: Tensor

    def to(self, device: torch.device | str) -> "TrainCodes":
        """Copy to `device`."""
        return TrainCodes(*(part.to(device) for part in (self.image_codes, self.text_codes, self.labels)))


def perturbations(config: HardeningConfig, pairs: Pairs) -> dict[Modality, PGD]:
    """Changes of each modality that a target learns to withstand."""
    spaces = {half: Space.of(half, pairs, config.epsilon, config.text_epsilon) for half in Modality}
    return {half: PGD(space, config.steps, config.step_size * space.epsilon) for half, space in spaces.items()}


def craft_pairs(
    experiment: Experiment,
    network: HashingNetwork,
    rows: NDArray[np.int64],
    codes: TrainCodes,
    hardening: CmlaHardeningConfig,
    folder: Path,
) -> list[Path]:
    """Change both halves of pairs so that similarities to the other modality become unlikely (CMLA's objective).

    Every process crafts some batches, the same ones however many processes there are; finished ones are not crafted
    again. CMLA's third part, the mean change of an entry, is left out: the change is bounded already.

    Args:
        experiment: Has the pairs.
        network: The trained target, in eval mode, where the experiment computes.
        rows: int64, P rows of the pairs.
        codes: Of the train part.
        hardening: Bounds and steps, and the weight of the likelihood of similarities within a modality.
        folder: Where the batches are kept.

    Returns:
        The files, each with `images` (uint8, up to BATCH x 3 x H x W) and `texts` (float32).
    """
    pairs, device = experiment.pairs, experiment.device
    perturb, codes = perturbations(hardening, pairs), codes.to(device)
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    files = [folder / f"{number:05d}.safetensors" for number in range(len(batches))]

    def crafted(batch: PairBatch, half: Modality) -> Tensor:
        similar = (batch.labels.float() @ codes.labels.float().T > 0).float()
        own, other = half.codes(codes), half.other.codes(codes)

        def loss(inputs: Tensor) -> Tensor:
            return _loss(half.hashed_by(network)(inputs), own, other, similar, hardening.intra_weight)

        return perturb[half](loss, half.of(batch))

    mine = range(ranks.rank(), len(batches), ranks.size())
    for number in track(mine, "crafting pairs to learn from", transient=True, disable=not ranks.is_first()):
        if is_readable(files[number]):
            continue
        batch = pairs.batch(batches[number]).to(device)
        images, texts = (crafted(batch, half) for half in Modality)
        save_tensors(files[number], {"images": image_levels(images), "texts": texts})
    ranks.barrier()
    return files


def _loss(hashed: Tensor, own: Tensor, other: Tensor, similar: Tensor, intra_weight: float) -> Tensor:
    total = inverted_likelihood(hashed @ other.T / 2, similar)
    return total + intra_weight * likelihood(hashed @ own.T / 2, similar) if intra_weight else total


class PairsWithAdversarial(PairDataset):
    """Some pairs, then adversarial ones as further items of their own.

    Args:
        pairs: The data set.
        indices: int64, n rows of it.
        sources: int64, P rows of which adversarial pairs were made: they keep the labels.
        files: The adversarial pairs, from `craft_pairs`.

    Attributes:
        ids: int64, n + P: the rows, then numbers beyond those of the data set.
        rows: int64, n + P: the rows, then the sources.
    """

    def __init__(
        self, pairs: Pairs, indices: NDArray[np.int64], sources: NDArray[np.int64], files: Sequence[Path]
    ) -> None:
        super().__init__(pairs, indices, shared=True)
        self.ids = np.concatenate([indices, len(pairs) + np.arange(len(sources))])
        self.rows = np.concatenate([indices, sources])
        self._batches = [load_tensors(file) for file in files]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, positions: Sequence[int]) -> PairBatch:
        """Several pairs at once, of the images this process's share."""
        places = np.asarray(positions)
        own = places[ranks.own_share(len(places))]
        images = self.pairs.batch(self.rows[own]).images
        for place, number in self._adversarial(own):
            images[place] = level_images(self._batches[number // BATCH]["images"][number % BATCH])
        batch = self.pairs.batch_of_features(self.rows[places], images)
        for place, number in self._adversarial(places):
            batch.texts[place] = self._batches[number // BATCH]["texts"][number % BATCH]
        return replace(batch, ids=torch.from_numpy(self.ids[places]))

    def _adversarial(self, places: NDArray[np.int64]) -> list[tuple[int, int]]:
        """Which of some positions are adversarial pairs: place among them, number of the pair."""
        (found,) = np.nonzero(places >= len(self.indices))
        return [(int(place), int(places[place]) - len(self.indices)) for place in found]
