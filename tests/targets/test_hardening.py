import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split, make_split
from aach_lightning.networks.hashing import binary_codes
from aach_lightning.retrieval import mean_average_precision
from aach_lightning.runtime.checkpoints import load_tensors
from aach_lightning.runtime.store import Artifact, ArtifactStore
from aach_lightning.targets import adversarial_pairs, training
from aach_lightning.targets.access import open_target
from aach_lightning.targets.dcmh import DCMHModule
from aach_lightning.targets.deployment import ensure_deployed, load_target
from aach_lightning.targets.index import CodeIndex, read_report

PGD = ("target/adversarial=pgd", "target.adversarial.epochs=2", "target.adversarial.steps=2")
CMLA = (
    "target/adversarial=cmla",
    "target.adversarial.epochs=2",
    "target.adversarial.steps=2",
    "target.adversarial.pairs=25",
)
BOTH = {"pgd": PGD, "cmla": CMLA}


@pytest.fixture
def split(toy_pairs: Pairs) -> Split:
    return make_split(len(toy_pairs), 10, 40, seed=0)


@pytest.fixture
def build(
    compose_toy: Callable[..., RunConfig], toy_pairs: Pairs, split: Split, tmp_path: Path
) -> Callable[..., tuple[Experiment, Artifact]]:
    def built(*overrides: str, store: str = "store") -> tuple[Experiment, Artifact]:
        config = compose_toy(*overrides, f"paths.store={tmp_path / store}")
        here = Experiment(config, toy_pairs, split, ArtifactStore(tmp_path / store))
        return here, ensure_deployed(here)

    return built


@pytest.mark.parametrize("name", BOTH)
def test_a_hardened_target_is_an_artifact_of_its_own_made_from_the_clean_one(
    build: Callable[..., tuple[Experiment, Artifact]], toy_pairs: Pairs, name: str, tmp_path: Path
) -> None:
    clean = build()[1]
    here, hardened = build(*BOTH[name])
    assert hardened.path.parent.name == "hardened"
    assert json.loads((hardened.path / "artifact.json").read_text())["depends_on"]["target"] == clean.key
    assert len(list((tmp_path / "store" / "target").glob("*/"))) == 1
    files = {str(path.relative_to(hardened.path)) for path in hardened.path.rglob("*")}
    expected = {"network.safetensors", "index.safetensors", "report.json", "split.json", "vocabulary.txt"}
    assert files == {*expected, "artifact.json"}
    network, index = load_target(here, hardened), CodeIndex.load(hardened.path)
    batch = toy_pairs.batch(range(60))
    with torch.no_grad():
        images, texts = network(batch.images, batch.texts)
    assert torch.equal(index.image_codes, binary_codes(images))
    assert torch.equal(index.text_codes, binary_codes(texts))
    assert read_report(hardened)["kept_epoch"] == 1
    before, after = (load_tensors(artifact.path / "network.safetensors") for artifact in (clean, hardened))
    assert before.keys() == after.keys()
    assert all(not torch.equal(before[key], after[key]) for key in before if before[key].ndim > 1)
    black_box, _ = open_target(here, hardened)
    assert torch.equal(black_box.query(batch.images[:3], batch.texts[:3])[0], index.image_codes[:3])
    assert (tmp_path / "store" / "ledger" / f"{hardened.key}.ledger").exists()


def test_what_a_hardened_target_depends_on(
    build: Callable[..., tuple[Experiment, Artifact]], monkeypatch: pytest.MonkeyPatch
) -> None:
    original, runs = training._train, []
    monkeypatch.setattr(training, "_train", lambda *arguments: (runs.append(1), original(*arguments)))
    first, again = build(*PGD)[1], build(*PGD, "budget.pairs=10", "attack.steps=1", "seed=3")[1]
    assert (first.key, first.built, again.built) == (again.key, True, False)
    others = [build(*PGD, "target.adversarial.epsilon=4"), build(*CMLA), build(*PGD, "target/defence=jpeg")]
    assert len({first.key, *(artifact.key for _, artifact in others)}) == 4
    assert others[2][1].path.parent.name == "defended"
    depends_on = json.loads((others[2][1].path / "artifact.json").read_text())["depends_on"]
    assert depends_on["target"] == first.key
    assert len(runs) == 1
    assert build(*PGD, "target.seed=1")[1].key != first.key
    assert len(runs) == 2


@pytest.mark.parametrize("kept", [False, True])
def test_a_backbone_that_was_frozen_learns_unless_it_is_told_not_to(
    build: Callable[..., tuple[Experiment, Artifact]], kept: bool
) -> None:
    frozen = "target.image_net.frozen=true"
    clean, hardened = build(frozen)[1], build(frozen, *PGD, f"target.adversarial.frozen={kept}")[1]
    before, after = (load_tensors(artifact.path / "network.safetensors") for artifact in (clean, hardened))
    for name, value in before.items():
        if name.startswith("image.backbone."):
            assert torch.equal(after[name], value) == kept, name
        elif value.ndim > 1:
            assert not torch.equal(after[name], value), name


@pytest.mark.parametrize("name", BOTH)
def test_a_killed_hardening_ends_with_bit_equal_weights(
    build: Callable[..., tuple[Experiment, Artifact]], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = build(*BOTH[name], store="whole")[1]
    original, crafted = DCMHModule.training_step, []
    save = adversarial_pairs.save_tensors

    def dying(self: DCMHModule, batch: Any, batch_index: int) -> Tensor:
        if self.stage == "hardening" and (self.current_epoch, batch_index) == (1, 1):
            raise RuntimeError("killed")
        return original(self, batch, batch_index)

    def counted(path: Path, tensors: dict[str, Tensor]) -> None:
        crafted.append(path)
        save(path, tensors)

    monkeypatch.setattr(adversarial_pairs, "save_tensors", counted)
    with monkeypatch.context() as deadly:
        deadly.setattr(DCMHModule, "training_step", dying)
        with pytest.raises(RuntimeError, match="killed"):
            build(*BOTH[name], store="killed")
    torch.manual_seed(99)
    resumed = build(*BOTH[name], store="killed")[1]
    assert len(crafted) == (1 if name == "cmla" else 0)
    expected, found = (load_tensors(artifact.path / "network.safetensors") for artifact in (whole, resumed))
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def drop_and_bits(here: Experiment, artifact: Artifact) -> tuple[float, float, float]:
    """MAP of clean images, its drop under white-box steps away from their codes, and bits that turned."""
    pairs, split = here.pairs, here.split
    network, index = load_target(here, artifact), CodeIndex.load(artifact.path)
    clean, labels = pairs.batch(split.query).images, torch.from_numpy(pairs.labels)
    codes = index.image_codes[split.query]
    delta = torch.zeros_like(clean)
    for _ in range(30):
        delta.requires_grad_()
        (gradient,) = torch.autograd.grad((network.hash_images(clean + delta) * codes).sum(), delta)
        delta = (delta.detach() - 2.4 / 255 * gradient.sign()).clamp(-24 / 255, 24 / 255)
        delta = (clean + delta).clamp(0, 1) - clean
    with torch.no_grad():
        changed = binary_codes(network.hash_images(clean + delta))

    def measured(asked: Tensor) -> float:
        database = index.text_codes[split.database]
        return mean_average_precision(asked, labels[split.query], database, labels[split.database])

    before, after = measured(codes), measured(changed)
    return before, before - after, float((changed != codes).sum(dim=1).float().mean())


def test_a_hardened_target_loses_less_under_a_white_box_attack(
    compose_toy: Callable[..., RunConfig], tmp_path: Path
) -> None:
    scenes = ["data.pairs=600", "split.query=60", "split.train=400", "target.image_net.backbone.width=128"]
    scenes += ["target.text_net.backbone.width=256", "target.code_length=32", "target.batch_size=128"]
    scenes += ["target.epochs=15", "target.image_lr=3e-3", "target.validation=50"]
    same = ["target.adversarial.epsilon=24", "target.adversarial.lr=1e-3"]
    kinds = {
        "plain": [],
        "pgd": ["target/adversarial=pgd", *same],
        "cmla": ["target/adversarial=cmla", "target.adversarial.steps=15", *same],
        # trained further by the same number of steps, on changes that are none
        "longer": [
            "target/adversarial=pgd",
            *same,
            "target.adversarial.epsilon=0.01",
            "target.adversarial.text_epsilon=1e-4",
        ],
    }
    config = compose_toy(*scenes)
    whole = Experiment.load(config)
    found = {}
    for kind, overrides in kinds.items():
        here = replace(whole, config=compose_toy(*scenes, *overrides))
        found[kind] = drop_and_bits(here, ensure_deployed(here))
    assert found["plain"][1] > 0.1
    for kind in ("pgd", "cmla"):
        for other in ("plain", "longer"):
            assert found[kind][0] > found[other][0] - 0.05, found
            assert found[kind][1] < 0.75 * found[other][1], found
            assert found[kind][2] < 0.75 * found[other][2], found
