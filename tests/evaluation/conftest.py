from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split
from aach_lightning.runtime.store import ArtifactStore

K = 8


class RecordingDoor:
    """In the place of an EvaluationDoor: a fixed linear hash, which remembers everything that it was sent."""

    def __init__(self, pixels: int, words: int, code_length: int = K) -> None:
        generator = torch.Generator().manual_seed(3)
        self.image_weights = torch.randn(pixels, code_length, generator=generator)
        self.text_weights = torch.randn(words, code_length, generator=generator)
        self.images: list[Tensor] = []
        self.texts: list[Tensor] = []

    def hash_images(self, images: Tensor) -> Tensor:
        return (images - 0.5).flatten(1) @ self.image_weights

    def hash_texts(self, texts: Tensor) -> Tensor:
        return (texts - 0.5) @ self.text_weights

    def image_codes(self, images: Tensor) -> Tensor:
        self.images.append(images.clone())
        return signs(self.hash_images(images))

    def text_codes(self, texts: Tensor) -> Tensor:
        self.texts.append(texts.clone())
        return signs(self.hash_texts(texts))


def signs(relaxed: Tensor) -> Tensor:
    return torch.tensor([[1 if value >= 0 else -1 for value in row] for row in relaxed.tolist()], dtype=torch.int8)


@pytest.fixture
def make_pairs() -> Callable[..., Pairs]:
    def make(count: int, size: int = 16, words: int = 6, classes: int = 3, seed: int = 0, **changes: Any) -> Pairs:
        rng = np.random.default_rng(seed)
        labels = np.eye(classes, dtype=np.uint8)[rng.integers(0, classes, count)]
        labels[rng.random(count) < 0.2, 0] = 1
        parts: dict[str, Any] = {
            "name": "random",
            "names": tuple(f"pair-{row}" for row in range(count)),
            "images": rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8),
            "texts": rng.integers(0, 2, (count, words), dtype=np.uint8),
            "labels": labels,
            "label_names": tuple(f"label-{column}" for column in range(classes)),
            "words": tuple(f"word-{column}" for column in range(words)),
            "text_low": 0.0,
            "text_high": 1.0,
            "fingerprint": f"random-{count}-{seed}",
            "captions": tuple(f"caption {row}" for row in range(count)),
        }
        return Pairs(**{**parts, **changes})

    return make


@pytest.fixture
def make_door() -> Callable[[Pairs], RecordingDoor]:
    return lambda pairs: RecordingDoor(pairs.images[0].size, len(pairs.words))


@pytest.fixture
def make_experiment(compose_toy: Callable[..., RunConfig], tmp_path: Path) -> Callable[..., Experiment]:
    """An experiment on some pairs in which all rows of the query part are attacked."""

    def make(pairs: Pairs, split: Split, *overrides: str) -> Experiment:
        config = compose_toy(*overrides)
        config.evaluation.queries = len(split.query)
        return Experiment(config, pairs, split, ArtifactStore(tmp_path / "store"))

    return make


@pytest.fixture
def naive_map() -> Callable[..., float]:
    """MAP position by position: what a random order of the ties puts there, in expectation."""

    def compute(codes: Tensor, labels: Any, searched: Tensor, searched_labels: Any) -> float:
        values = []
        for code, label in zip(codes.tolist(), np.asarray(labels), strict=True):
            distances = [sum(a != b for a, b in zip(code, other, strict=True)) for other in searched.tolist()]
            relevant = [bool((label & other).any()) for other in np.asarray(searched_labels)]
            if not any(relevant):
                continue
            total = 0.0
            for distance in sorted(set(distances)):
                before = sum(d < distance for d in distances)
                hits_before = sum(d < distance and r for d, r in zip(distances, relevant, strict=True))
                n = distances.count(distance)
                r = sum(d == distance and r for d, r in zip(distances, relevant, strict=True))
                for position in range(1, n + 1):  # a relevant item stands there with probability r/n
                    others = (position - 1) * (r - 1) / (n - 1) if n > 1 else 0.0
                    total += r / n * (hits_before + 1 + others) / (before + position)
            values.append(total / sum(relevant))
        return float(np.mean(values))

    return compute
