from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split, make_split
from aach_lightning.evaluation.surrogate_report import held_out_rows, surrogate_report
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.surrogates.training import Answers
from aach_lightning.targets.index import CodeIndex

CPU = torch.device("cpu")
KEYS = {
    "held_out_pairs",
    "bit_agreement_image",
    "bit_agreement_text",
    "distance_spearman",
    "map_i2t",
    "map_t2i",
    "target_map_i2t",
    "target_map_t2i",
}
ORDER, FLIPS = [3, 0, 7, 1, 6, 2, 5, 4], torch.tensor([1, -1, -1, 1, 1, -1, 1, -1])


class Half(nn.Module):
    """The target's hash with its bits in another order and some of them flipped: equal distances."""

    def __init__(self, hashed: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.hashed = hashed

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.tanh(self.hashed(inputs))[:, ORDER] * FLIPS


@pytest.fixture
def pairs(make_pairs: Callable[..., Pairs]) -> Pairs:
    return make_pairs(110)


@pytest.fixture
def split() -> Split:
    return make_split(110, 10, 30, seed=0)


@pytest.fixture
def door(make_door: Callable[[Pairs], Any], pairs: Pairs) -> Any:
    return make_door(pairs)


@pytest.fixture
def index(door: Any, pairs: Pairs) -> CodeIndex:
    batch = pairs.batch(range(len(pairs)))
    return CodeIndex(door.image_codes(batch.images), door.text_codes(batch.texts))


@pytest.fixture
def answers(index: CodeIndex, split: Split) -> Answers:
    return Answers(
        split.train, index.image_codes[split.train], index.text_codes[split.train], 30, np.empty(0, np.int64)
    )


def test_a_perfect_surrogate(
    door: Any, index: CodeIndex, answers: Answers, pairs: Pairs, split: Split, naive_map: Callable[..., float]
) -> None:
    held_out = held_out_rows(split, 68, seed=0)  # more than a batch of 64
    network = HashingNetwork(Half(door.hash_images), Half(door.hash_texts), 8)
    report = surrogate_report(network, answers, index, pairs, held_out, CPU)
    assert set(report) == KEYS
    assert report["held_out_pairs"] == 68
    assert report["bit_agreement_image"] == report["bit_agreement_text"] == 1.0
    assert report["distance_spearman"] == pytest.approx(1.0)
    assert report["map_i2t"] == report["target_map_i2t"]
    assert report["map_t2i"] == report["target_map_t2i"]
    images, texts, labels = index.image_codes[held_out], index.text_codes[held_out], pairs.labels[held_out]
    assert report["target_map_i2t"] == pytest.approx(naive_map(images, labels, texts, labels), abs=1e-12)
    assert report["target_map_t2i"] == pytest.approx(naive_map(texts, labels, images, labels), abs=1e-12)


def test_an_unrelated_surrogate(index: CodeIndex, answers: Answers, pairs: Pairs, split: Split) -> None:
    weights = torch.randn(pairs.images[0].size, 8, generator=torch.Generator().manual_seed(9))
    network = HashingNetwork(
        Half(lambda images: (images - 0.5).flatten(1) @ weights),
        Half(lambda texts: (texts - 0.5) @ weights[: texts.shape[1]]),
        8,
    )
    report = surrogate_report(network, answers, index, pairs, held_out_rows(split, 70, seed=0), CPU)
    assert 0.3 < report["bit_agreement_image"] < 0.7  # images are noise: nothing to agree upon
    assert abs(report["distance_spearman"]) < 0.5
    assert report["map_i2t"] != report["target_map_i2t"]


def test_pairs_of_a_gallery_are_no_strangers(
    door: Any, index: CodeIndex, answers: Answers, pairs: Pairs, split: Split
) -> None:
    network = HashingNetwork(Half(door.hash_images), Half(door.hash_texts), 8)
    held_out = held_out_rows(split, 68, seed=0)
    seen = replace(answers, gallery=np.concatenate([held_out[10:20], split.train[:5]]))
    rest = np.concatenate([held_out[:10], held_out[20:]])
    report = surrogate_report(network, seen, index, pairs, held_out, CPU)
    assert report == surrogate_report(network, answers, index, pairs, rest, CPU)
    assert report["held_out_pairs"] == 58


def test_nothing_to_compare(door: Any, index: CodeIndex, answers: Answers, pairs: Pairs) -> None:
    network = HashingNetwork(Half(door.hash_images), Half(door.hash_texts), 8)
    assert surrogate_report(network, answers, index, pairs, np.zeros(0, np.int64), CPU) == {}


def test_held_out_rows_were_never_sent(split: Split) -> None:
    everything = held_out_rows(split, 1000, seed=0)
    assert sorted(everything.tolist()) == sorted(set(range(110)) - set(split.query) - set(split.train))
    assert held_out_rows(split, 15, seed=0).tolist() == everything[:15].tolist()
    assert held_out_rows(split, 15, seed=1).tolist() != everything[:15].tolist()
    assert not len(held_out_rows(make_split(30, 10, 20, seed=0), 5, seed=0))
