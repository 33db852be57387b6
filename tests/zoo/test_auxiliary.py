"""What supervised methods with networks of their own share, and whole trainings of each method."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from aach_lightning.config.method import AuxiliaryMethodConfig
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split, make_split
from aach_lightning.errors import ConfigError
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork
from aach_lightning.runtime.checkpoints import load_tensors
from aach_lightning.runtime.store import Artifact, ArtifactStore
from aach_lightning.targets.deployment import load_target
from aach_lightning.targets.index import read_report, validation_rows
from aach_lightning.targets.method import Schedule, TargetModule, TrainPart
from aach_lightning.targets.training import ensure_target
from aach_lightning.zoo.auxiliary import (
    AuxiliaryModule,
    SemanticModule,
    dense,
    reverse_gradient,
    similarity_of,
    told_apart,
)

METHODS = ("acmr", "cmhh", "cpah", "dadh", "dchmt", "ssah")
LEARNING = ("target.image_lr=0.003", "target.text_lr=0.003", "target.epochs=30")
SMALL = {
    "cpah": ("target.method.beta=0.1",),  # a sum over items beside one over pairs: heavy for few items
    "ssah": ("target.method.label_hidden=32",),
}
HIDDEN = ("target.image_net.hidden=24", "target.text_net.hidden=24")


def test_values_pass_and_gradients_turn() -> None:
    values = torch.tensor([2.0, -3.5], requires_grad=True)
    passed = reverse_gradient(values, 0.25)
    assert passed.tolist() == [2.0, -3.5]
    (passed * torch.tensor([3.0, 4.0])).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [-0.75, -1.0]


def test_similarity_is_a_shared_label() -> None:
    labels = torch.tensor([[1, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=torch.uint8)
    assert similarity_of(labels, torch.tensor([[0, 1, 1], [1, 0, 0]])).tolist() == [[1, 1], [0, 0], [1, 0]]


def test_told_apart_by_hand() -> None:
    # D = 3/4 and 1/2 where 1 is right; 1/5 where 0 is right
    found = told_apart(torch.tensor([math.log(3), 0.0]), torch.tensor([-math.log(4)]))
    assert float(found) == pytest.approx(-(math.log(0.75) + math.log(0.5)) / 2 - math.log(0.8))


def test_dense_layers() -> None:
    assert [type(layer) for layer in dense(3, 4, 2)] == [nn.Linear, nn.ReLU, nn.Linear]
    assert dense(3, 4, 2)(torch.zeros(5, 3)).shape == (5, 2)


def wrapped(kind: type[AuxiliaryModule], image_hidden: int, text_hidden: int) -> AuxiliaryModule:
    heads = [HashHead(6, 4, hidden=hidden) for hidden in (image_hidden, text_hidden)]
    network = HashingNetwork(heads[0], Encoder(nn.Linear(3, 6), heads[1]), 4)
    train = TrainPart(torch.arange(2), torch.eye(2), torch.zeros(2, 3), torch.empty(2, 0))
    return kind(network, train, Schedule(1e-3, 2e-3, 4), AuxiliaryMethodConfig(auxiliary_lr=3e-3))


def test_own_networks_are_a_third_group() -> None:
    module = wrapped(AuxiliaryModule, 5, 5)
    module.helper = nn.Linear(2, 2)
    groups = module.configure_optimizers()["optimizer"].param_groups  # type: ignore[index]
    assert [group["lr"] for group in groups] == [1e-3, 2e-3, 3e-3]
    assert [id(p) for p in groups[2]["params"]] == [id(p) for p in module.helper.parameters()]
    assert sum(len(group["params"]) for group in groups) == len(list(module.parameters()))


def test_features_that_are_compared_have_one_width() -> None:
    module = wrapped(SemanticModule, 5, 5)
    assert isinstance(module, SemanticModule)
    assert module.semantic_width == 5
    with pytest.raises(ConfigError, match="5 and 7 features"):
        wrapped(SemanticModule, 5, 7)


def test_mistakes_in_the_values_of_a_method_are_told(compose_toy: Callable[..., RunConfig]) -> None:
    wrong = {
        "acmr": ("margin=0", "beta=-1", "auxiliary_lr=0"),
        "cmhh": ("beta=0", "gamma=-1"),
        "cpah": ("alpha=-1", "adversarial=-1"),
        "dadh": ("penalty=-1", "auxiliary_lr=-1"),
        "dchmt": ("vartheta=0",),
        "dgcpn": ("alpha=-0.5", "neighbours=0", "pair_weight=nan"),
        "djsrh": ("beta=1.5", "mu=0", "intra_weight=-1"),
        "jdsh": ("mu=0", "left_border=-1", "right_weight=-1"),
        "ssah": ("label_hidden=0", "label_epochs=-1", "adversarial=-1"),
    }
    for name, changes in wrong.items():
        with pytest.raises(ConfigError) as caught:
            compose_toy(f"target={name}", *(f"target.method.{change}" for change in changes))
        for change in changes:
            assert f"target.method.{change}" in str(caught.value), name
    with pytest.raises(ConfigError, match=r"target\.image_net\.hidden=24: must be that of target\.text_net\.hidden=16"):
        compose_toy("target=ssah", "target.image_net.hidden=24", "target.text_net.hidden=16")
    with pytest.raises(ConfigError, match=r"target\.text_net\.refined=False: must be true: CPAH hashes what both"):
        compose_toy("target=cpah", "target.text_net.refined=false")


@pytest.fixture
def build(compose_toy: Callable[..., RunConfig], toy_pairs: Pairs, tmp_path: Path) -> Callable[..., Any]:
    split: Split = make_split(len(toy_pairs), 10, 40, seed=0)

    def built(name: str, *overrides: str, store: str = "store") -> tuple[Experiment, Artifact]:
        config = compose_toy(f"target={name}", *HIDDEN, *SMALL.get(name, ()), *overrides)
        here = Experiment(config, toy_pairs, split, ArtifactStore(tmp_path / store))
        return here, ensure_target(here)

    return built


@pytest.mark.parametrize("name", METHODS)
def test_it_learns(build: Callable[..., Any], toy_pairs: Pairs, name: str) -> None:
    here, artifact = build(name, *LEARNING)
    report = read_report(artifact)
    assert report["chance_map"] < 0.45
    assert min(report["validation_map"].values()) > 0.7
    saved = load_tensors(artifact.path / "network.safetensors")
    assert saved.keys() == load_target(here, artifact).state_dict().keys()


@pytest.mark.parametrize("name", METHODS)
def test_a_killed_training_ends_with_bit_equal_weights(
    build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    torch.manual_seed(1)
    _, whole = build(name, "target.epochs=3", store="whole")
    original = TargetModule.training_step

    def dying(self: TargetModule, batch: Any, batch_index: int) -> Any:
        if (self.current_epoch, batch_index) == (2, 1):
            raise RuntimeError("killed")
        return original(self, batch, batch_index)

    torch.manual_seed(2)
    with monkeypatch.context() as patch:
        patch.setattr(TargetModule, "training_step", dying)
        with pytest.raises(RuntimeError, match="killed"):
            build(name, "target.epochs=3", store="killed")
    torch.manual_seed(99)
    _, resumed = build(name, "target.epochs=3", store="killed")
    expected, found = (load_tensors(each.path / "network.safetensors") for each in (whole, resumed))
    assert all(torch.equal(expected[key], found[key]) for key in expected)


@pytest.mark.parametrize("name", METHODS)
def test_a_frozen_backbone_that_has_read_the_images_before(build: Callable[..., Any], name: str) -> None:
    _, artifact = build(name, "target.image_net.frozen=true")
    assert read_report(artifact)["database"] == 42


def test_acmr_is_measured_as_in_its_paper_beside_its_codes(build: Callable[..., Any], toy_pairs: Pairs) -> None:
    here, artifact = build("acmr", *LEARNING[:2], "target.epochs=2")
    report, network = read_report(artifact), load_target(here, artifact)
    split = Split.load(artifact.path / "split.json")
    query = validation_rows(split, 8, 0)
    database = np.setdiff1d(split.database, query)
    batch = toy_pairs.batch(range(60))
    with torch.no_grad():
        images, texts = network(batch.images, batch.texts)
    for name, (asked, searched) in {"i2t": (images, texts), "t2i": (texts, images)}.items():
        values = []
        for row in query:
            cosines = torch.cosine_similarity(asked[row], searched[database]).tolist()
            assert len(set(cosines)) > 1
            ranking = sorted(range(len(database)), key=lambda place, found=cosines: -found[place])  # type: ignore[misc]
            relevant = [bool((toy_pairs.labels[row] & toy_pairs.labels[database[place]]).any()) for place in ranking]
            hits = [place for place, hit in enumerate(relevant, 1) if hit]
            values.append(sum(number / place for number, place in enumerate(hits, 1)) / len(hits))
        assert report["validation_map_cosine"][name] == pytest.approx(sum(values) / len(values), abs=1e-6)
        assert report["validation_map_cosine"][name] != report["validation_map"][name]
    assert "validation_map_cosine" not in read_report(build("cmhh")[1])
