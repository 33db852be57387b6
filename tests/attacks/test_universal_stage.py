from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aach_lightning.attacks.source import Source
from aach_lightning.attacks.universal import UniversalModule
from aach_lightning.attacks.universal_stage import added_to_each, ensure_universal_delta
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split
from aach_lightning.networks.build import build_network
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.runtime.store import ArtifactStore

KNOWN, UNSEEN = np.arange(30, 60), np.array([5, 0, 12, 7])
Compose = Callable[..., RunConfig]


class Desk:
    """Learns deltas in a store, and counts the steps."""

    def __init__(self, config: RunConfig, pairs: Pairs, folder: Path) -> None:
        self.config, self.pairs = config, pairs
        surrogate = config.surrogate
        self.source: HashingNetwork = build_network(surrogate.image_net, surrogate.text_net, 16, 32, 16, 7).eval()
        self.source.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.store = ArtifactStore(folder)

    def experiment(self, config: RunConfig | None = None) -> Experiment:
        rest = np.setdiff1d(np.arange(len(self.pairs)), UNSEEN)
        return Experiment(config or self.config, self.pairs, Split(UNSEEN, rest, rest), self.store)

    def learn(
        self,
        modality: Modality = Modality.image,
        config: RunConfig | None = None,
        goal: Tensor | None = None,
        **source: Any,
    ) -> Tensor:
        known = replace(Source("attack", self.source, "source", KNOWN), **source)
        return ensure_universal_delta(self.experiment(config), known, modality, goal)


@pytest.fixture
def desk(compose_toy: Compose, toy_pairs: Pairs, tmp_path: Path) -> Callable[..., Desk]:
    def opened(name: str, *overrides: str) -> Desk:
        return Desk(compose_toy("attack=universal", *overrides), toy_pairs, tmp_path / name)

    return opened


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Batch numbers of every step that is taken; a list that ends with -1 dies at its last place."""
    taken: list[int] = []
    original = UniversalModule.training_step

    def counted(self: UniversalModule, batch: Any, batch_index: int) -> Tensor:
        taken.append(batch_index)
        return original(self, batch, batch_index)

    monkeypatch.setattr(UniversalModule, "training_step", counted)
    return taken


@pytest.mark.parametrize("modality", [Modality.image, Modality.text])
def test_one_delta_is_learned_once_and_kept_in_range(
    desk: Callable[..., Desk], steps: list[int], modality: Modality
) -> None:
    here = desk("one")
    delta = here.learn(modality)
    assert steps == [*range(8)] * 3  # 30 known items in batches of 4, three times
    assert torch.equal(here.learn(modality), delta)
    assert len(steps) == 24
    space = 8 / 255 if modality == Modality.image else 0.1
    assert delta.shape == ((1, 3, 32, 32) if modality == Modality.image else (1, 16))
    assert 0 < float(delta.abs().max()) <= space + 1e-6
    each = added_to_each(delta, here.experiment(), modality)
    batch = here.pairs.batch(UNSEEN)
    clean = batch.images if modality == Modality.image else batch.texts
    assert torch.equal(each, (clean + delta).clamp(0, 1) - clean)


def test_only_what_changes_it_makes_a_new_one(
    desk: Callable[..., Desk], compose_toy: Compose, steps: list[int]
) -> None:
    here = desk("one")
    here.learn()
    idle = ("attack.text_epsilon=0.4", "attack.modality=image", "evaluation.queries=4", "attack.edits=2")
    for change in idle:
        here.learn(config=compose_toy("attack=universal", change))
    assert len(steps) == 24
    for change in ("attack.epsilon=4", "attack.batch_size=5", "seed=1", "attack.step.size=0.2"):
        steps.clear()
        here.learn(config=compose_toy("attack=universal", change))
        assert steps, change
    goal = torch.ones(16, dtype=torch.int8)
    changes: list[dict[str, Any]] = [{"key": "other"}, {"rows": KNOWN[:9]}, {"goal": goal}]
    for changed in changes:
        steps.clear()
        here.learn(**changed)
        assert steps, changed


def test_a_goal_is_approached(desk: Callable[..., Desk]) -> None:
    here = desk("one", "attack/objective=target_code", "attack.target_label=red", "attack.steps=10")
    batch = here.pairs.batch(UNSEEN)
    for sign in (1, -1):
        goal = torch.full((16,), sign, dtype=torch.int8)
        delta = here.learn(goal=goal)
        with torch.no_grad():
            before = here.source.hash_images(batch.images).mean()
            after = here.source.hash_images((batch.images + delta).clamp(0, 1)).mean()
        assert float((after - before) * sign) > 0.001


def test_a_killed_stage_goes_on(desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch, steps: list[int]) -> None:
    whole = desk("whole").learn()
    here, original = desk("killed"), UniversalModule.training_step
    steps.clear()

    def dying(self: UniversalModule, batch: Any, batch_index: int) -> Tensor:
        if len(steps) == 19:
            raise RuntimeError("killed")
        return original(self, batch, batch_index)

    with monkeypatch.context() as patched:
        patched.setattr(UniversalModule, "training_step", dying)
        with pytest.raises(RuntimeError, match="killed"):
            here.learn()
    steps.clear()
    torch.manual_seed(77)
    assert torch.equal(here.learn(), whole)
    assert steps == [*range(8)]  # two of three passes were kept
    assert not list(here.store.root.rglob("*.ckpt"))


def test_bfloat16_changes_little(desk: Callable[..., Desk]) -> None:
    plain, half = desk("one").learn(), desk("two", "trainer.precision=bf16-mixed").learn()
    assert half.dtype == torch.float32
    assert float(half.abs().max()) <= 8 / 255 + 1e-6
    assert not torch.equal(plain, half)
