import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from aach_lightning.config.method import DCHMTConfig
from aach_lightning.config.schema import register_schemas
from aach_lightning.data.embeddings import sentence_embeddings
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import make_split
from aach_lightning.data.texts import unnamed
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_mlp import TextMLP
from aach_lightning.runtime.checkpoints import load_tensors
from aach_lightning.runtime.run import checked_config
from aach_lightning.runtime.store import ArtifactStore
from aach_lightning.targets.index import read_report
from aach_lightning.targets.method import Schedule, TrainPart
from aach_lightning.targets.training import build_target, ensure_target
from aach_lightning.zoo.dchmt import DCHMTModule, dchmt_loss, selection_distances, selection_loss
from tests.conftest import CONF
from tests.tiny_clip import write_clip

BITS = 8


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def selected(logits: Tensor) -> list[float]:
    """What the paper's hash layer gives: of 2 K outputs each two through a softmax."""
    values = []
    for a, b in logits.view(-1, 2).tolist():
        total = math.exp(a) + math.exp(b)
        values += [math.exp(a) / total, math.exp(b) / total]
    return values


def published(rows: list[list[float]], others: list[list[float]], similar: Tensor, vartheta: float) -> float:
    """Mean over pairs of selections, each of 2 K entries."""
    total, most = 0.0, math.sqrt(len(rows[0]) * vartheta)
    for i, j in product(range(len(rows)), range(len(others))):
        distance = math.dist(rows[i], others[j])
        total += distance**2 if similar[i, j] else max(0.0, most - distance) ** 2
    return total / (len(rows) * len(others))


def test_a_relaxed_code_is_a_selection() -> None:
    logits = [uniform(4, 10, seed=seed) * 3 for seed in (0, 1)]
    relaxed = [torch.tanh((half[:, ::2] - half[:, 1::2]) / 2) for half in logits]
    rows, others = ([selected(row) for row in half] for half in logits)
    expected = [[math.dist(row, other) ** 2 for other in others] for row in rows]
    torch.testing.assert_close(selection_distances(*relaxed), torch.tensor(expected, dtype=torch.float64))
    similar = (uniform(4, 4, seed=2) > 0).double()
    for vartheta in (0.2, 0.5, 1.0):
        found = selection_loss(*relaxed, similar, vartheta)
        assert float(found) == pytest.approx(published(rows, others, similar, vartheta), rel=1e-9)


def test_of_binary_codes_it_is_twice_the_hamming_distance() -> None:
    codes = torch.where(uniform(5, 12, seed=3) > 0, 1.0, -1.0)
    hamming = [[sum(a != b for a, b in zip(x, y, strict=True)) for y in codes.tolist()] for x in codes.tolist()]
    assert selection_distances(codes, codes).tolist() == [[2.0 * d for d in row] for row in hamming]


def test_its_gradients_equal_finite_differences() -> None:
    inputs = [uniform(3, 4, seed=4).requires_grad_(), uniform(3, 4, seed=5).requires_grad_()]
    similar = torch.eye(3, dtype=torch.float64)
    similar[0, 1] = similar[1, 0] = 1
    assert torch.autograd.gradcheck(lambda a, b: dchmt_loss(a, b, similar, 0.5), inputs)


def test_equal_dissimilar_items_are_finite() -> None:
    codes = torch.ones(2, 4, requires_grad=True)
    loss = dchmt_loss(codes, codes, torch.zeros(2, 2), 0.5)
    loss.backward()
    assert loss.item() == pytest.approx(3 * 4, rel=1e-4)
    assert codes.grad is not None
    assert bool(torch.isfinite(codes.grad).all())


def test_a_step_is_the_sum_of_three_kinds_of_pairs(toy_pairs: Pairs) -> None:
    torch.manual_seed(0)
    image = Encoder(SmallCNN(image_size=32, width=32), HashHead(32, BITS, hidden=12))
    network = HashingNetwork(image, Encoder(TextMLP(16, width=32), HashHead(32, BITS, hidden=12)), BITS)
    batch = toy_pairs.batch([31, 4, 17, 2])
    train = TrainPart(batch.ids, batch.labels, batch.texts, torch.empty(4, 0))
    module = DCHMTModule(network, train, Schedule(1e-3, 2e-3, 4), DCHMTConfig(vartheta=0.4))
    loss = module.batch_loss(batch)
    loss.backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    with torch.no_grad():
        halves = [
            [[(1 + s * x) / 2 for x in row for s in (1, -1)] for row in half.tolist()]
            for half in network(batch.images, batch.texts)
        ]
    similar = torch.tensor([[float((a * b).any()) for b in batch.labels] for a in batch.labels])
    expected = sum(published(a, b, similar, 0.4) for a, b in (halves, [halves[0]] * 2, [halves[1]] * 2))
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_it_learns_on_both_towers_of_a_clip(toy_pairs: Pairs, tmp_path: Path) -> None:
    """Texts come through the frozen text tower, images through a frozen image tower; only the heads are trained."""
    pytest.importorskip("transformers", reason="needs the extra `clip`")
    folder = write_clip(tmp_path / "clip")
    sentences = [toy_pairs.label_names[int(row.argmax())] * 2 for row in toy_pairs.labels]
    texts = sentence_embeddings(sentences, str(folder), tmp_path / "cache")
    pairs = replace(toy_pairs, texts=texts, words=unnamed(texts.shape[1]), text_low=-1.0, fingerprint="clip")
    register_schemas()
    overrides = [
        "target=dchmt",
        "image_net@target.image_net=clip",
        f"target.image_net.backbone.model={folder}",
        "text_net@target.text_net=identity",
        "image_net@surrogate.image_net=small_cnn",
        "data.image_size=32",
        "data.pairs=60",
        "split.query=10",
        "split.train=40",
        "budget.pairs=30",
        "evaluation.queries=6",
        "target.code_length=16",
        "target.batch_size=20",
        "target.image_lr=0.01",
        "target.text_lr=0.01",
        "target.epochs=20",
        "target.validation=8",
        *(f"paths.{name}={tmp_path / name}" for name in ("store", "cache", "output")),
    ]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = checked_config(compose("train", overrides))
    assert (config.target.image_net.frozen, config.target.image_net.hidden) == (True, 128)
    artifact = ensure_target(
        Experiment(config, pairs, make_split(60, 10, 40, seed=0), ArtifactStore(tmp_path / "store"))
    )
    report = read_report(artifact)
    assert min(report["validation_map"].values()) > report["chance_map"] + 0.25
    saved = load_tensors(artifact.path / "network.safetensors")
    fresh = build_target(config.target, pairs).state_dict()
    tower = [name for name in fresh if name.startswith("image.backbone.")]
    assert tower
    assert all(torch.equal(saved[name], fresh[name]) for name in tower)
