"""A target that hashes linearly, items for it, and a plain way to ask it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from aach_lightning.attacks.search.problem import Codes, Problem
from aach_lightning.data.modality import Modality
from aach_lightning.perturbations.space import Space

SIDE, WORDS, ITEMS = 8, 40, 5


def middle(shape: Sequence[int]) -> Tensor:
    """An image of 0, 128 and 255, or a text of 0 and 1."""
    generator = torch.Generator().manual_seed(21)
    if len(shape) == 3:
        return torch.tensor([0.0, 128.0, 255.0])[torch.randint(3, tuple(shape), generator=generator)] / 255
    return torch.randint(0, 2, tuple(shape), generator=generator).float()


@dataclass
class LinearTarget:
    """Signs of random projections of what differs from a middle item, which makes some bits easy to turn.

    In double, so that no batch size changes a sign. It remembers what it was sent.
    """

    code_length: int = 32
    seed: int = 0
    batches: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        self.of_images = torch.randn(3 * SIDE * SIDE, self.code_length, generator=generator, dtype=torch.float64)
        self.of_texts = torch.randn(WORDS, self.code_length, generator=generator, dtype=torch.float64)

    def relaxed(self, items: Tensor) -> Tensor:
        weights = self.of_images if items.ndim == 4 else self.of_texts
        return (items.double() - middle(items.shape[1:]).double()).flatten(1) @ weights

    def hash_images(self, images: Tensor) -> Tensor:
        self.batches.append(images)
        return torch.where(self.relaxed(images) >= 0, 1, -1).to(torch.int8)

    hash_texts = hash_images

    @property
    def sent(self) -> int:
        return sum(map(len, self.batches))


@pytest.fixture
def target() -> LinearTarget:
    return LinearTarget()


@pytest.fixture
def make_problem(target: LinearTarget) -> Callable[..., Problem]:
    """Five items with ids that are no positions; images with many black and white pixels, texts of 0 and 1."""

    def made(
        modality: str = Modality.image,
        limit: int = 60,
        epsilon: float | None = None,
        norm: str = "linf",
        seed: int = 3,
        codes: Codes | None = None,
    ) -> Problem:
        generator = torch.Generator().manual_seed(11)
        if modality == "image":
            change = torch.randint(-50, 51, (ITEMS, 3, SIDE, SIDE), generator=generator)
            levels = (255 * middle((3, SIDE, SIDE)) + change).clamp(0, 255).round()
            clean, size = levels / 255, 8 / 255
        else:
            flipped = (torch.rand(ITEMS, WORDS, generator=generator) < 0.1).float()
            clean, size = (middle((WORDS,)) - flipped).abs(), 0.2
        space = Space(size if epsilon is None else epsilon, norm, 0.0, 1.0)  # type: ignore[arg-type]
        ids = torch.tensor([40, 7, 23, 911, 2])
        return Problem(codes or target.hash_images, clean, ids, space, limit, seed)

    return made
