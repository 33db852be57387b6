"""What the tests of unsupervised methods share."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import make_split
from aach_lightning.runtime.checkpoints import load_tensors
from aach_lightning.runtime.store import Artifact, ArtifactStore
from aach_lightning.targets.index import read_report
from aach_lightning.targets.training import ensure_target


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def symmetric(size: int, seed: int) -> Tensor:
    values = uniform(size, size, seed=seed)
    return (values + values.T) / 2


def cosine(a: Tensor, b: Tensor) -> float:
    dot = sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))
    lengths = [math.sqrt(sum(x * x for x in v.tolist())) for v in (a, b)]
    return dot / (lengths[0] * lengths[1])


def check_gradient(loss: Callable[[Tensor, Tensor], Tensor], images: Tensor, texts: Tensor) -> None:
    """Compare with finite differences in both arguments."""
    inputs = [images.clone().requires_grad_(), texts.clone().requires_grad_()]
    found = torch.autograd.grad(loss(*inputs), inputs)
    step = 1e-6
    for half in (0, 1):
        for place in np.ndindex(*images.shape):
            ends = []
            for sign in (1, -1):
                moved = [images.clone(), texts.clone()]
                moved[half][place] += sign * step
                ends.append(float(loss(*moved)))
            assert found[half][place].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-7)
    assert all(float(gradient.abs().max()) > 1e-3 for gradient in found)


def train(compose: Callable[..., RunConfig], pairs: Pairs, store: str, *overrides: str) -> Artifact:
    config = compose(*overrides)
    folder = Path(config.paths.store).parent / store
    return ensure_target(Experiment(config, pairs, make_split(len(pairs), 10, 40, seed=0), ArtifactStore(folder)))


def learned(compose: Callable[..., RunConfig], pairs: Pairs, name: str, *overrides: str) -> dict[str, Any]:
    """The report of a target that has learned for a while."""
    lengths = ("target.epochs=15", "target.image_lr=0.01", "target.text_lr=0.01")
    return read_report(train(compose, pairs, "learned", f"target={name}", *lengths, *overrides))


def weights_and_report(
    compose: Callable[..., RunConfig], pairs: Pairs, labels: NDArray[np.uint8], name: str, *overrides: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Train for two epochs on pairs with other labels."""
    mark = f"labels {labels.tobytes().hex()}"
    other = replace(pairs, labels=labels, fingerprint=mark)
    artifact = train(compose, other, "labels", f"target={name}", "target.epochs=2", *overrides)
    return load_tensors(artifact.path / "network.safetensors"), read_report(artifact)
