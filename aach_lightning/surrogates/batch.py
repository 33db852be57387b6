"""What one step of surrogate training sees."""

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from aach_lightning.data.pairs import PairBatch
from aach_lightning.mining.triplets import Triplets


@dataclass(frozen=True)
class TripletBatch:
    """Pairs to learn from, what the target answered to them, and the triplets mined among them.

    Attributes:
        pairs: B pairs.
        image_codes: int8 in {-1, +1}, B x K; None where the target was not asked.
        text_codes: int8 in {-1, +1}, B x K, or None.
        image_anchored: Anchors are images; positions inside the batch.
        text_anchored: Anchors are texts; positions inside the batch.
    """

    pairs: PairBatch
    image_codes: Tensor | None
    text_codes: Tensor | None
    image_anchored: Triplets
    text_anchored: Triplets

    def __len__(self) -> int:
        return len(self.pairs)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Copy every part to `device`."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: part.to(device) for name, part in parts.items() if part is not None})
