import itertools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aach_lightning.config.schema import RunConfig
from aach_lightning.data.dataset import PairDataset
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split, make_split
from aach_lightning.networks.hashing import binary_codes
from aach_lightning.runtime.checkpoints import load_tensors
from aach_lightning.runtime.store import Artifact, ArtifactStore
from aach_lightning.targets import training
from aach_lightning.targets.datamodule import TargetDataModule
from aach_lightning.targets.dcmh import DCMHModule
from aach_lightning.targets.deployment import load_target
from aach_lightning.targets.index import CodeIndex, describe_index, read_report, validation_rows
from aach_lightning.targets.training import ensure_target

LEARNING = ("target.epochs=12", "target.image_lr=0.01", "target.text_lr=0.01")


@pytest.fixture
def split(toy_pairs: Pairs) -> Split:
    return make_split(len(toy_pairs), 10, 40, seed=0)


@pytest.fixture
def build(
    compose_toy: Callable[..., RunConfig], toy_pairs: Pairs, split: Split, tmp_path: Path
) -> Callable[..., tuple[Experiment, Artifact]]:
    def built(*overrides: str, store: str = "store", split: Split = split) -> tuple[Experiment, Artifact]:
        config = compose_toy(*overrides)
        here = Experiment(config, toy_pairs, split, ArtifactStore(tmp_path / store))
        return here, ensure_target(here)

    return built


def naive_map(queries: Tensor, query_labels: Any, database: Tensor, database_labels: Any) -> float:
    """MAP with the ties of a distance in every order, by hand: the mean over the permutations of one tie is too long,
    so precision is averaged over where each relevant item of a tie may stand.
    """
    values = []
    for code, label in zip(queries, query_labels, strict=True):
        distances = [int((code != other).sum()) for other in database]
        relevant = [bool((label * other).any()) for other in database_labels]
        total, before, hits = 0.0, 0, 0
        for distance in sorted(set(distances)):
            tied = [hit for found, hit in zip(distances, relevant, strict=True) if found == distance]
            size, good = len(tied), sum(tied)
            for place in range(1, size + 1):
                others = (good - 1) * (place - 1) / (size - 1) if size > 1 else 0.0
                total += good / size * (hits + others + 1) / (before + place) if good else 0.0
            before, hits = before + size, hits + good
        values.append(total / sum(relevant))
    return sum(values) / len(values)


def test_the_oracle_of_this_file_averages_over_all_orders_of_ties() -> None:
    code = torch.tensor([1, 1])
    database = torch.tensor([[1, 1], [1, -1], [1, -1], [-1, 1], [-1, -1]])
    labels = np.array([[0], [1], [0], [1], [1]])
    total = []
    for order in itertools.permutations([1, 2, 3]):
        ranking = [0, *order, 4]
        hits = [place for place, item in enumerate(ranking, start=1) if labels[item, 0]]
        total.append(sum((number + 1) / place for number, place in enumerate(hits)) / 3)
    expected = sum(total) / len(total)
    assert naive_map(code[None], np.array([[1]]), database, labels) == pytest.approx(expected)


def test_it_learns_in_both_directions_and_reports_what_its_index_gives(
    build: Callable[..., tuple[Experiment, Artifact]], toy_pairs: Pairs, split: Split
) -> None:
    _, artifact = build(*LEARNING)
    report, index = read_report(artifact), CodeIndex.load(artifact.path)
    query = validation_rows(split, 8, 0)
    database = np.setdiff1d(split.database, query)
    labels = toy_pairs.labels
    for name, (asked, searched) in {
        "i2t": (index.image_codes, index.text_codes),
        "t2i": (index.text_codes, index.image_codes),
    }.items():
        value = naive_map(asked[query], labels[query], searched[database], labels[database])
        assert report["validation_map"][name] == pytest.approx(value, abs=1e-9)
        # pairs that the target has never seen, searched in what it has
        unseen = naive_map(asked[split.query], labels[split.query], searched[database], labels[database])
        assert unseen > 0.75, name
    constant = torch.ones(60, 1)
    chance = naive_map(constant[query], labels[query], constant[database], labels[database])
    assert report["chance_map"] == pytest.approx(chance, abs=1e-9)
    assert chance < 0.45
    assert (report["validation_queries"], report["database"]) == (8, 42)
    for side, codes in (("image", index.image_codes[database]), ("text", index.text_codes[database])):
        assert report["distinct_codes"][side] == len({tuple(code.tolist()) for code in codes})
        shares = (codes == 1).double().mean(dim=0).tolist()
        assert report["bit_balance"][side] == pytest.approx(sum(min(s, 1 - s) for s in shares) / 16)


def test_the_artifact_is_whole_and_its_network_gives_the_codes_of_its_index(
    build: Callable[..., tuple[Experiment, Artifact]], toy_pairs: Pairs, split: Split
) -> None:
    here, artifact = build()
    files = {file.name for file in artifact.path.iterdir()}
    assert {"network.safetensors", "index.safetensors", "report.json", "split.json", "vocabulary.txt"} <= files
    assert Split.load(artifact.path / "split.json").fingerprint == split.fingerprint
    assert (artifact.path / "vocabulary.txt").read_text().splitlines() == list(toy_pairs.words)
    network, index = load_target(here, artifact), CodeIndex.load(artifact.path)
    assert not any(module.training for module in network.modules())
    batch = toy_pairs.batch(range(60))
    with torch.no_grad():
        images, texts = network(batch.images, batch.texts)
    assert index.image_codes.dtype == torch.int8
    assert torch.equal(index.image_codes, binary_codes(images))
    assert torch.equal(index.text_codes, binary_codes(texts))


def test_a_frozen_backbone_that_has_read_the_images_before_gives_the_same_kind_of_artifact(
    build: Callable[..., tuple[Experiment, Artifact]], toy_pairs: Pairs
) -> None:
    here, artifact = build("target.image_net.frozen=true")
    network, index = load_target(here, artifact), CodeIndex.load(artifact.path)
    batch = toy_pairs.batch(range(60))
    with torch.no_grad():
        images, texts = network(batch.images, batch.texts)
    assert torch.equal(index.image_codes, binary_codes(images))
    assert torch.equal(index.text_codes, binary_codes(texts))
    fresh = training.build_target(here.config.target, toy_pairs).state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(value, fresh[name]) == name.startswith("image.backbone."), name


def test_it_trains_once(build: Callable[..., tuple[Experiment, Artifact]], monkeypatch: pytest.MonkeyPatch) -> None:
    original, runs = training._train, []
    monkeypatch.setattr(training, "_train", lambda *arguments: (runs.append(1), original(*arguments)))
    first, second = build()[1], build("budget.pairs=10", "seed=3", "attack.steps=1")[1]
    assert (first.built, second.built, len(runs)) == (True, False, 1)
    assert first.path == second.path
    assert build("target.seed=1")[1].path != first.path
    assert len(runs) == 2


def test_equal_configurations_train_equal_weights(build: Callable[..., tuple[Experiment, Artifact]]) -> None:
    torch.manual_seed(1)
    first = load_tensors(build(store="one")[1].path / "network.safetensors")
    torch.manual_seed(2)
    second = load_tensors(build(store="two")[1].path / "network.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = load_tensors(build("target.seed=1", store="one")[1].path / "network.safetensors")
    assert not torch.equal(first["text.head.2.weight"], other["text.head.2.weight"])


def test_a_killed_training_ends_with_bit_equal_weights(
    build: Callable[..., tuple[Experiment, Artifact]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = build("target.epochs=3", store="whole")[1]
    original = DCMHModule.training_step
    steps: list[tuple[int, int]] = []

    def dying(self: DCMHModule, batch: Any, batch_index: int) -> Tensor:
        if (self.current_epoch, batch_index) == (1, 1):
            raise RuntimeError("killed")
        return original(self, batch, batch_index)

    def counting(self: DCMHModule, batch: Any, batch_index: int) -> Tensor:
        steps.append((self.current_epoch, batch_index))
        return original(self, batch, batch_index)

    monkeypatch.setattr(DCMHModule, "training_step", dying)
    with pytest.raises(RuntimeError, match="killed"):
        build("target.epochs=3", store="killed")
    monkeypatch.setattr(DCMHModule, "training_step", counting)
    torch.manual_seed(99)
    resumed = build("target.epochs=3", store="killed")[1]
    assert steps == [(1, 0), (1, 1), (2, 0), (2, 1)]
    for name in ("network.safetensors", "index.safetensors"):
        expected, found = load_tensors(whole.path / name), load_tensors(resumed.path / name)
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert read_report(resumed) == read_report(whole)


def test_the_best_epoch_is_kept_and_not_the_last(
    build: Callable[..., tuple[Experiment, Artifact]], monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots: dict[int, dict[str, Tensor]] = {}

    def graded(self: DCMHModule) -> None:
        self._collected = [[], []]
        snapshots[self.current_epoch] = {name: v.clone() for name, v in self.network.state_dict().items()}
        self.log("target/map", [0.2, 0.9, 0.4][self.current_epoch])

    monkeypatch.setattr(DCMHModule, "on_validation_epoch_end", graded)
    artifact = build("target.epochs=3")[1]
    kept = load_tensors(artifact.path / "network.safetensors")
    assert read_report(artifact)["kept_epoch"] == 1
    assert all(torch.equal(value, snapshots[1][name]) for name, value in kept.items())
    assert not all(torch.equal(value, snapshots[2][name]) for name, value in kept.items())


def test_validation_never_sees_a_query_row(split: Split) -> None:
    for limit in (1, 5, 10, 100):
        rows = validation_rows(split, limit, seed=0)
        assert len(set(rows.tolist())) == len(rows) == min(limit, 10)
        assert not set(rows.tolist()) & set(split.query.tolist())
        assert not set(rows.tolist()) & set(split.train.tolist())
    assert validation_rows(split, 5, seed=1).tolist() != validation_rows(split, 5, seed=0).tolist()
    everything = make_split(60, 10, 50, seed=0)
    for limit in (5, 100):
        rows = validation_rows(everything, limit, seed=0)
        assert not set(rows.tolist()) & set(everything.query.tolist())
        # without rows outside train some of train watch, and others are left for them to search
        assert 0 < len(rows) < len(everything.database)


def test_a_target_whose_train_part_is_the_whole_database(
    build: Callable[..., tuple[Experiment, Artifact]], toy_pairs: Pairs
) -> None:
    _, artifact = build("split.train=50", "target.validation=500", split=make_split(len(toy_pairs), 10, 50, seed=0))
    report = read_report(artifact)
    assert report["validation_queries"] + report["database"] == 50
    assert min(report["validation_queries"], report["database"]) >= 20


def test_the_data_module_shuffles_by_epoch_and_keeps_validation_in_order(toy_pairs: Pairs) -> None:
    parts = [PairDataset(toy_pairs, np.arange(*ends)) for ends in ((0, 20), (20, 25), (25, 60))]
    data = TargetDataModule(*parts, batch_size=8, seed=0)

    def order(epoch: int) -> list[int]:
        data.trainer = type("Trainer", (), {"current_epoch": epoch})()
        return [row for batch in data.train_dataloader() for row in batch.ids.tolist()]

    assert sorted(order(0)) == list(range(20))
    assert order(0) == order(0) != order(1)
    query, database = data.val_dataloader()
    assert [row for batch in query for row in batch.ids.tolist()] == list(range(20, 25))
    assert [row for batch in database for row in batch.ids.tolist()] == list(range(25, 60))
    assert [len(batch) for batch in data.train_dataloader()] == [8, 8, 4]


def test_a_collapsed_target_is_called_so(toy_pairs: Pairs, caplog: pytest.LogCaptureFixture) -> None:
    constant = torch.ones(60, 16, dtype=torch.int8)
    own = torch.from_numpy(toy_pairs.labels.astype(np.int8)).repeat(1, 6)[:, :16] * 2 - 1
    query, database = np.arange(50, 60), np.arange(50)
    with caplog.at_level(logging.WARNING):
        report = describe_index(CodeIndex(constant, constant), toy_pairs, query, database, "Try this")
    assert "the target looks collapsed" in caplog.text
    assert "of 50 items. Try this." in caplog.text
    assert report["distinct_codes"] == {"image": 1, "text": 1}
    assert report["bit_balance"] == {"image": 0.0, "text": 0.0}
    assert report["validation_map"]["i2t"] == pytest.approx(report["chance_map"])
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        describe_index(CodeIndex(own, constant), toy_pairs, query, database, "Try this")
    assert "the target looks collapsed" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        report = describe_index(CodeIndex(own, own), toy_pairs, query, database, "Try this")
    assert caplog.text == ""
    assert report["validation_map"] == {"i2t": pytest.approx(1), "t2i": pytest.approx(1)}
    json.dumps(report, allow_nan=False)
