import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aach_lightning.config.choices import AdversarialMethod
from aach_lightning.config.target import CmlaHardeningConfig
from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_mlp import TextMLP
from aach_lightning.runtime.checkpoints import load_tensors
from aach_lightning.targets import adversarial_pairs
from aach_lightning.targets.adversarial_pairs import PairsWithAdversarial, TrainCodes, craft_pairs

BITS = 8
HARDENING = CmlaHardeningConfig(AdversarialMethod.cmla, 24.0, 0.3, 4, 1 / 3, 1, 1e-4, False, 10, 0.7)
TRAIN = np.array([31, 4, 17, 2, 40, 8, 9, 55, 23, 12])


@pytest.fixture
def network() -> HashingNetwork:
    torch.manual_seed(0)
    image = Encoder(SmallCNN(image_size=32, width=32), HashHead(32, BITS))
    return HashingNetwork(image, Encoder(TextMLP(16, width=32), HashHead(32, BITS)), BITS).eval()


@pytest.fixture
def codes(network: HashingNetwork, toy_pairs: Pairs) -> TrainCodes:
    batch = toy_pairs.batch(TRAIN)
    with torch.no_grad():
        return TrainCodes(*network(batch.images, batch.texts), batch.labels)


def craft(network: HashingNetwork, pairs: Pairs, codes: TrainCodes, folder: Path, rows: Any = TRAIN) -> list[Path]:
    experiment: Any = SimpleNamespace(pairs=pairs, device=torch.device("cpu"))
    return craft_pairs(experiment, network, rows, codes, HARDENING, folder)


def objective(hashed: Tensor, labels: Tensor, own: Tensor, other: Tensor, codes: TrainCodes) -> list[float]:
    """CMLA's objective without its distortion, item by item."""
    values = []
    for code, label in zip(hashed.tolist(), labels.tolist(), strict=True):
        total = 0.0
        for j, train_label in enumerate(codes.labels.tolist()):
            similar = any(a and b for a, b in zip(label, train_label, strict=True))
            gamma, theta = (
                sum(a * b for a, b in zip(code, part[j].tolist(), strict=True)) / 2 for part in (other, own)
            )
            total += math.log(1 + math.exp(-gamma)) + similar * gamma
            total += 0.7 * (math.log(1 + math.exp(theta)) - similar * theta)
        values.append(total / len(codes.labels))
    return values


def test_crafted_pairs_are_near_and_lower_the_objective(
    network: HashingNetwork, toy_pairs: Pairs, codes: TrainCodes, tmp_path: Path
) -> None:
    (file,) = craft(network, toy_pairs, codes, tmp_path)
    made, clean = load_tensors(file), toy_pairs.batch(TRAIN)
    assert made["images"].dtype == torch.uint8
    images = made["images"].float() / 255
    assert 20 / 255 < float((images - clean.images).abs().max()) <= 24 / 255 + 1e-6
    assert 0.25 < float((made["texts"] - clean.texts).abs().max()) <= 0.3 + 1e-6
    assert 0 <= float(made["texts"].min()) <= float(made["texts"].max()) <= 1
    with torch.no_grad():
        before, after = network(clean.images, clean.texts), network(images, made["texts"])
    for half, (own, other) in enumerate(((codes.image_codes, codes.text_codes), (codes.text_codes, codes.image_codes))):
        values = [objective(part[half], clean.labels, own, other, codes) for part in (before, after)]
        assert sum(values[1]) < sum(values[0])


def test_the_loss_is_that_of_the_paper(network: HashingNetwork, toy_pairs: Pairs, codes: TrainCodes) -> None:
    clean = toy_pairs.batch([0, 1, 2])
    with torch.no_grad():
        hashed = network.hash_images(clean.images)
    similar = (clean.labels.float() @ codes.labels.float().T > 0).float()
    found = adversarial_pairs._loss(hashed, codes.image_codes, codes.text_codes, similar, 0.7)
    expected = objective(hashed, clean.labels, codes.image_codes, codes.text_codes, codes)
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_a_pair_is_crafted_on_its_own_whatever_its_batch(
    network: HashingNetwork, toy_pairs: Pairs, codes: TrainCodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = craft(network, toy_pairs, codes, tmp_path / "whole")
    monkeypatch.setattr(adversarial_pairs, "BATCH", 4)
    parts = [load_tensors(file) for file in craft(network, toy_pairs, codes, tmp_path / "parts")]
    assert [len(part["texts"]) for part in parts] == [4, 4, 2]
    for name, expected in load_tensors(whole).items():
        found = torch.cat([part[name] for part in parts])
        # the sign of a gradient next to 0 may be another where sums are rounded differently
        assert float((found != expected).double().mean()) < 0.01, name


def test_finished_batches_are_not_crafted_again(
    network: HashingNetwork, toy_pairs: Pairs, codes: TrainCodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adversarial_pairs, "BATCH", 4)
    files = craft(network, toy_pairs, codes, tmp_path)
    expected = [file.read_bytes() for file in files]
    files[1].unlink()
    files[2].write_bytes(expected[2][:100])  # no whole file
    made = []
    original = adversarial_pairs.save_tensors
    monkeypatch.setattr(
        adversarial_pairs, "save_tensors", lambda path, tensors: (made.append(path), original(path, tensors))
    )
    assert craft(network, toy_pairs, codes, tmp_path) == files
    assert made == files[1:]
    assert [file.read_bytes() for file in files] == expected


def test_adversarial_pairs_are_further_items_with_the_labels_of_their_sources(
    network: HashingNetwork, toy_pairs: Pairs, codes: TrainCodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adversarial_pairs, "BATCH", 4)
    sources = TRAIN[[3, 0, 5, 1, 2, 8]]
    files = craft(network, toy_pairs, codes, tmp_path, sources)
    images, texts = (torch.cat([load_tensors(file)[name] for file in files]) for name in ("images", "texts"))
    dataset = PairsWithAdversarial(toy_pairs, TRAIN, sources, files)
    assert len(dataset) == 16
    assert dataset.ids.tolist() == [*TRAIN.tolist(), 60, 61, 62, 63, 64, 65]
    order = [12, 0, 15, 9, 10, 3]
    batch = dataset.__getitems__(order)
    assert batch.ids.tolist() == [62, 31, 65, 12, 60, 2]
    rows = [sources[2], 31, sources[5], 12, sources[0], 2]
    clean = toy_pairs.batch(rows)
    assert torch.equal(batch.labels, clean.labels)
    for place, position in enumerate(order):
        number = position - 10
        expected = (
            (clean.images[place], clean.texts[place]) if number < 0 else (images[number].float() / 255, texts[number])
        )
        assert torch.equal(batch.images[place], expected[0])
        assert torch.equal(batch.texts[place], expected[1])
    assert not torch.equal(batch.images[0], clean.images[0])
