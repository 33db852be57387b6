"""What a surrogate learns from where a service answers with ranked lists of its gallery."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.data.experiment import Experiment
from aach_lightning.mining.epoch import MinedBatch
from aach_lightning.mining.lists import list_distances, mine_lists
from aach_lightning.runtime.checkpoints import load_tensors
from aach_lightning.surrogates.datamodule import SurrogateDataModule
from aach_lightning.surrogates.estimation import estimate_codes
from aach_lightning.targets.blackbox import BlackBox


class ListedDataModule(SurrogateDataModule):
    """The M queried pairs and the gallery that they were answered with, as mined batches.

    Triplets come from the lists alone. In the place of codes that were answered stand codes that are estimated from the
    lists, for a surrogate that is pulled to codes: they give all members of an ensemble the same bits.

    Args:
        experiment: As of `SurrogateDataModule`; so are the others.
        door: The metered door to the target.
        queried: int64, the M rows that are sent.
        gallery: int64, G rows, by the ids that the service answers with.
        folder: Where the answers are kept for the other processes.
        features: (M + G) x F: of the queried images, then of the gallery's.
    """

    def __init__(
        self,
        experiment: Experiment,
        door: BlackBox,
        queried: NDArray[np.int64],
        gallery: NDArray[np.int64],
        folder: Path,
        features: Tensor | None = None,
    ) -> None:
        super().__init__(experiment, door, np.concatenate([queried, gallery]), folder, features)
        self.queried, self.gallery = queried, gallery

    def setup(self, stage: str) -> None:
        """Read the answers; see `SurrogateDataModule`."""
        super().setup(stage)
        lists = load_tensors(self._answers)
        self._distances = [self._distances_of(lists[name]) for name in ("image_lists", "text_lists")]

    def mine(self, epoch: int) -> list[MinedBatch]:
        """The batches of an epoch, from the lists."""
        images, texts = self._distances
        return mine_lists(images, texts, self.miner, self.batch_size, self.seed, epoch)

    def _kept(self, images: Tensor, texts: Tensor) -> dict[str, Tensor]:
        distances = self._distances_of(images), self._distances_of(texts)
        codes = estimate_codes(images, texts, distances[0], distances[1], self.code_length, self.seed)
        return {"image_lists": images, "text_lists": texts, "image_codes": codes[0], "text_codes": codes[1]}

    def _distances_of(self, lists: Tensor) -> Tensor:
        return list_distances(lists, len(self.gallery), self.code_length)
