from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import make_split
from aach_lightning.runtime.store import ArtifactStore

LATENT, BITS = 5, 12


@dataclass
class LinearDoor:
    """A target whose codes are signs of linear functions of its inputs, behind a door that counts."""

    image_map: Tensor
    text_map: Tensor
    calls: list[int] = field(default_factory=list)

    @property
    def spent_pairs(self) -> int:
        return sum(self.calls)

    def query(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        self.calls.append(len(images))
        return self.codes(images, texts)

    def codes(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        hashed = ((images - 0.5).flatten(1) @ self.image_map, texts @ self.text_map)
        image_codes, text_codes = (torch.where(relaxed > 0, 1, -1).to(torch.int8) for relaxed in hashed)
        return image_codes, text_codes


@dataclass(frozen=True)
class LinearWorld:
    pairs: Pairs
    door: LinearDoor
    compose: Callable[..., RunConfig]

    def experiment(self, *overrides: str) -> Experiment:
        config = self.compose(f"target.code_length={BITS}", *overrides)
        split = make_split(len(self.pairs), 20, 100, seed=0)
        return Experiment(config, self.pairs, split, ArtifactStore(Path(config.paths.store)))


@pytest.fixture
def linear_world(compose_toy: Callable[..., RunConfig]) -> LinearWorld:
    """240 pairs of 4 x 4 pixels and 10 text entries, both linear in the same five hidden numbers."""
    rng = np.random.default_rng(0)
    count, words = 240, 10
    hidden = rng.standard_normal((count, LATENT))
    to_image, to_text = rng.standard_normal((LATENT, 48)), rng.standard_normal((LATENT, words))
    to_code = rng.standard_normal((LATENT, BITS))
    images = (127.5 + 18 * hidden @ to_image).round().clip(0, 255).astype(np.uint8).reshape(count, 3, 4, 4)
    pairs = Pairs(
        name="linear",
        names=tuple(map(str, range(count))),
        images=images,
        texts=(hidden @ to_text).astype(np.float32),
        labels=np.ones((count, 1), np.uint8),
        label_names=("all",),
        words=tuple(f"word-{number}" for number in range(words)),
        text_low=-20.0,
        text_high=20.0,
        fingerprint="linear",
        captions=("",) * count,
    )
    maps = [torch.from_numpy(np.linalg.pinv(part) @ to_code).float() for part in (to_image, to_text)]
    return LinearWorld(pairs, LinearDoor(*maps), compose_toy)


class Flat(nn.Module):
    """A backbone: batch norm over the entries of an input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.linear = nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, inputs: Tensor) -> Tensor:
        normalised: Tensor = self.norm(self.linear(inputs.flatten(1)))
        return normalised


@pytest.fixture
def flat() -> type[Flat]:
    return Flat
