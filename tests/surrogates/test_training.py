import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split, make_split
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.runtime.checkpoints import load_tensors
from aach_lightning.runtime.schemas import RunConfig
from aach_lightning.runtime.store import Artifact, ArtifactStore
from aach_lightning.surrogates.module import SurrogateModule
from aach_lightning.surrogates.networks import build_surrogate
from aach_lightning.surrogates.queries import queried_rows
from aach_lightning.surrogates.training import ensure_surrogate, load_answers, load_surrogate
from aach_lightning.targets.blackbox import BlackBox

BITS = 16
# everything random at once: dropout, augmentation, drawn triplets
RESTLESS = (
    "mining=rank",
    "surrogate.epochs=3",
    "surrogate.image_net.dropout=0.3",
    "surrogate.text_net.dropout=0.3",
    "surrogate.augmentation.flip=true",
    "surrogate.augmentation.zoom=0.2",
    "surrogate.augmentation.noise=4",
)
TARGET = Artifact(Path("nowhere"), "key-of-the-target", built=False)


class CountingTarget(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.network = HashingNetwork(
            nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, BITS)), nn.Linear(16, BITS), BITS
        )
        self.sent = 0

    def hash_images(self, images: Tensor) -> Tensor:
        self.sent += len(images)
        return self.network.hash_images(images - 0.5)

    def hash_texts(self, texts: Tensor) -> Tensor:
        return self.network.hash_texts(texts - 0.3)


class Site:
    """A target behind a real door, and a store, below one folder."""

    def __init__(self, config: RunConfig, pairs: Pairs, folder: Path) -> None:
        self.config, self.pairs = config, pairs
        self.split: Split = make_split(len(pairs), 10, 40, seed=0)
        self.store = ArtifactStore(folder / "store")
        self.target = CountingTarget().eval()
        self.folder = folder

    def door(self) -> BlackBox:
        return BlackBox(
            self.target, BITS, self.config.budget.pairs, self.folder / "a.ledger", identity="target", run="run"
        )

    def ensure(self) -> Artifact:
        return ensure_surrogate(self.config, self.pairs, self.split, TARGET, self.door(), self.store)


@pytest.fixture
def site(compose_toy: Callable[..., RunConfig], toy_pairs: Pairs, tmp_path: Path) -> Callable[..., Site]:
    def opened(name: str, *overrides: str) -> Site:
        return Site(compose_toy(*overrides), toy_pairs, tmp_path / name)

    return opened


def test_budgets_are_nested_in_the_train_part() -> None:
    split = make_split(60, 10, 40, seed=0)
    small, large = queried_rows(split, 7, seed=1), queried_rows(split, 25, seed=1)
    assert large[:7].tolist() == small.tolist()
    assert len(set(large.tolist())) == 25
    assert set(large.tolist()) <= set(split.train.tolist())
    assert queried_rows(split, 7, seed=2).tolist() != small.tolist()


def test_the_surrogate_stage_keeps_answers_network_and_price(site: Callable[..., Site]) -> None:
    here = site("one")
    artifact = here.ensure()
    answers = load_answers(artifact)
    assert answers.rows.tolist() == queried_rows(here.split, 30, 0).tolist()
    assert answers.spent == here.door().spent_pairs == here.target.sent == 30
    batch = here.pairs.batch(answers.rows)
    assert torch.equal(answers.image_codes, binary_codes(here.target.hash_images(batch.images)))
    assert torch.equal(answers.text_codes, binary_codes(here.target.hash_texts(batch.texts)))
    network = load_surrogate(here.config, here.pairs, artifact)
    assert not any(module.training for module in network.modules())
    stored = load_tensors(artifact.path / "network.safetensors")
    assert all(torch.equal(value, stored[name]) for name, value in network.state_dict().items())


def test_a_found_surrogate_is_not_trained_or_paid_again(site: Callable[..., Site]) -> None:
    here = site("one")
    first = here.ensure()
    sent = here.target.sent
    again = here.ensure()
    assert (first.built, again.built) == (True, False)
    assert first.key == again.key
    assert here.target.sent == sent


@pytest.mark.parametrize(
    "change", ["seed=1", "budget.pairs=20", "mining.gap=2", "surrogate.loss=nll"], ids=lambda change: change
)
def test_what_a_surrogate_depends_on_gives_another(site: Callable[..., Site], change: str) -> None:
    def dependencies(here: Site) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        class Recording(ArtifactStore):
            def get_or_build(self, stage: str, depends_on: dict[str, Any], build: Any) -> Artifact:
                seen.update(depends_on)
                return Artifact(self.root, "", built=False)

        here.store = Recording(here.folder)
        here.ensure()
        return seen

    assert dependencies(site("one")) == dependencies(site("one", "attack.epsilon=4", "evaluation.queries=3"))
    assert dependencies(site("one")) != dependencies(site("one", change))


@pytest.mark.parametrize("where", [(1, 0), (2, 1)], ids=["start of epoch 1", "middle of epoch 2"])
def test_a_killed_training_ends_with_bit_equal_weights_and_pays_nothing_more(
    site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, where: tuple[int, int]
) -> None:
    whole = load_tensors(site("whole", *RESTLESS).ensure().path / "network.safetensors")
    here = site("killed", *RESTLESS)
    original = SurrogateModule.training_step
    steps: list[tuple[int, int]] = []

    def dying(self: SurrogateModule, batch: Any, batch_index: int) -> Tensor:
        if (self.current_epoch, batch_index) == where:
            raise RuntimeError("killed")
        return original(self, batch, batch_index)

    def counting(self: SurrogateModule, batch: Any, batch_index: int) -> Tensor:
        steps.append((self.current_epoch, batch_index))
        return original(self, batch, batch_index)

    monkeypatch.setattr(SurrogateModule, "training_step", dying)
    with pytest.raises(RuntimeError, match="killed"):
        here.ensure()
    torch.manual_seed(12345)
    np.random.seed(12345)  # noqa: NPY002 - whatever state the new process happens to have
    monkeypatch.setattr(SurrogateModule, "training_step", counting)
    artifact = here.ensure()
    assert steps[0] == (where[0], 0)
    resumed = load_tensors(artifact.path / "network.safetensors")
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(value, whole[name]) for name, value in resumed.items())
    assert here.target.sent == 30
    assert json.loads((artifact.path / "spent.json").read_text())["pairs"] == 30


def test_a_frozen_backbone_leaves_the_stage_as_it_came(site: Callable[..., Site]) -> None:
    for overrides in ((), RESTLESS):
        here = site(f"frozen-{len(overrides)}", *overrides, "surrogate.image_net.frozen=true")
        trained = load_tensors(here.ensure().path / "network.safetensors")
        fresh = build_surrogate(here.config, here.pairs).state_dict()
        same = {name for name, value in trained.items() if torch.equal(value, fresh[name])}
        assert {name for name in fresh if name.startswith("image.backbone.")} <= same
        assert "image.head.2.weight" not in same
        assert "text.backbone.hidden.weight" not in same
