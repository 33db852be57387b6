import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import budget_order, gallery_rows, make_split
from aach_lightning.errors import ConfigError
from aach_lightning.networks.ensemble import EnsembleNetwork
from aach_lightning.networks.hashing import HashingNetwork, binary_codes
from aach_lightning.runtime.checkpoints import load_tensors, load_weights
from aach_lightning.runtime.store import Artifact, ArtifactStore
from aach_lightning.surrogates import training
from aach_lightning.surrogates.module import SurrogateModule
from aach_lightning.surrogates.networks import build_surrogate
from aach_lightning.surrogates.selection import spread_out
from aach_lightning.surrogates.training import _depends_on, ensure_surrogate, load_answers, load_surrogate
from aach_lightning.targets.answers import RankedAnswers
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
LABELS = ("surrogate.learns_from=labels", "surrogate.quantisation=sign")
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
        split = make_split(len(pairs), 10, 40, seed=0)
        self.experiment = Experiment(config, pairs, split, ArtifactStore(folder / "store"))
        self.config, self.pairs, self.split = config, pairs, split
        self.target = CountingTarget().eval()
        self.folder = folder

    def door(self) -> BlackBox:
        return BlackBox(
            self.target, BITS, self.config.budget.pairs, self.folder / "a.ledger", identity="target", run="run"
        )

    def ensure(self) -> Artifact:
        return ensure_surrogate(self.experiment, TARGET, self.door())


@pytest.fixture
def site(compose_toy: Callable[..., RunConfig], toy_pairs: Pairs, tmp_path: Path) -> Callable[..., Site]:
    def opened(name: str, *overrides: str) -> Site:
        return Site(compose_toy(*overrides), toy_pairs, tmp_path / name)

    return opened


def test_budgets_are_nested_in_the_train_part(toy_experiment: Callable[..., Experiment]) -> None:
    small, large = toy_experiment("seed=1", "budget.pairs=7"), toy_experiment("seed=1", "budget.pairs=25")
    assert large.queried[:7].tolist() == small.queried.tolist()
    assert len(set(large.queried.tolist())) == 25
    assert set(large.queried.tolist()) <= set(large.split.train.tolist())
    assert toy_experiment("seed=2", "budget.pairs=7").queried.tolist() != small.queried.tolist()


def test_the_surrogate_stage_keeps_answers_network_and_price(site: Callable[..., Site]) -> None:
    here = site("one")
    artifact = here.ensure()
    answers = load_answers(artifact)
    assert answers.rows.tolist() == here.experiment.queried.tolist()
    assert answers.spent == here.door().spent_pairs == here.target.sent == 30
    batch = here.pairs.batch(answers.rows)
    assert torch.equal(answers.image_codes, binary_codes(here.target.hash_images(batch.images)))
    assert torch.equal(answers.text_codes, binary_codes(here.target.hash_texts(batch.texts)))
    network = load_surrogate(here.experiment, artifact)
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

        here.experiment = replace(here.experiment, store=Recording(here.folder))
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
        fresh = build_surrogate(here.experiment).state_dict()
        same = {name for name, value in trained.items() if torch.equal(value, fresh[name])}
        assert {name for name in fresh if name.startswith("image.backbone.")} <= same
        assert "image.head.2.weight" not in same
        assert "text.backbone.hidden.weight" not in same


def test_an_ensemble_has_each_net_with_each_seed(site: Callable[..., Site]) -> None:
    second = ("+image_net@surrogate.members.second=small_cnn", "+surrogate.members.second.backbone.width=64")
    here = site("ensemble", *second, "surrogate.seeds=2")
    network = load_surrogate(here.experiment, here.ensure())
    assert isinstance(network, EnsembleNetwork)
    assert [member.feature_width for member in network.members] == [32, 64, 32, 64]
    assert here.target.sent == 30
    fresh = build_surrogate(here.experiment)
    alone = build_surrogate(site("alone").experiment).state_dict()
    assert all(torch.equal(value, alone[name]) for name, value in fresh.members[0].state_dict().items())
    first, third = (fresh.members[number].state_dict()["image.head.2.weight"] for number in (0, 2))
    assert not torch.equal(first, third)


def test_frozen_members_are_read_once(site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    still = [f"surrogate.augmentation.{key}" for key in ("flip=false", "zoom=0", "noise=0")]
    frozen = ("surrogate.image_net.frozen=true", "surrogate.seeds=2", *still)
    here = site("frozen", *frozen)
    shapes: list[torch.Size] = []
    original = SurrogateModule.training_step

    def recording(self: SurrogateModule, batch: Any, batch_index: int) -> Tensor:
        shapes.append(batch.pairs.images.shape)
        return original(self, batch, batch_index)

    monkeypatch.setattr(SurrogateModule, "training_step", recording)
    trained = load_surrogate(here.experiment, here.ensure())
    assert {shape[1:] for shape in shapes} == {torch.Size([64])}
    fresh = build_surrogate(here.experiment)
    for member, before in zip(trained.members, fresh.members, strict=True):
        old, new = before.state_dict(), member.state_dict()
        assert all(torch.equal(value, new[name]) for name, value in old.items() if "image.backbone" in name)
        assert not torch.equal(old["image.head.2.weight"], new["image.head.2.weight"])


def test_labels_of_public_pairs_cost_no_query(site: Callable[..., Site]) -> None:
    here = site("labels", *LABELS)
    answers = load_answers(here.ensure())
    assert here.target.sent == answers.spent == here.door().spent == 0
    assert answers.image_codes.shape == answers.text_codes.shape == (0, BITS)
    outside = set(here.split.database.tolist()) - set(here.split.train.tolist())
    assert set(answers.rows.tolist()) == outside
    assert len(load_answers(site("few", *LABELS, "surrogate.public_pairs=4").ensure()).rows) == 4


def test_labels_need_pairs_outside_the_train_part(site: Callable[..., Site]) -> None:
    here = site("labels", *LABELS)
    here.experiment = replace(here.experiment, split=make_split(len(here.pairs), 10, 50, seed=0))
    with pytest.raises(ConfigError, match=r"smaller split\.train"):
        here.ensure()


@pytest.mark.parametrize("selection", ["coverage", "uncertainty"])
def test_chosen_pairs_are_m_of_the_train_part_and_paid_once(site: Callable[..., Site], selection: str) -> None:
    here = site("one", f"budget.selection={selection}")
    artifact = here.ensure()
    answers = load_answers(artifact)
    assert len(set(answers.rows.tolist())) == len(answers.rows) == 30
    assert set(answers.rows.tolist()) <= set(here.split.train.tolist())
    assert answers.rows.tolist() != here.experiment.queried.tolist()
    batch = here.pairs.batch(answers.rows)
    assert torch.equal(answers.image_codes, binary_codes(here.target.hash_images(batch.images)))
    here.target.sent -= 30
    assert answers.spent == here.door().spent_pairs == here.target.sent == 30
    assert load_answers(site("again", f"budget.selection={selection}").ensure()).rows.tolist() == answers.rows.tolist()


def test_coverage_is_nested_and_spread_over_the_features_of_the_untrained_surrogate(site: Callable[..., Site]) -> None:
    chosen = {
        pairs: load_answers(site(f"{pairs}", "budget.selection=coverage", f"budget.pairs={pairs}").ensure()).rows
        for pairs in (8, 30)
    }
    assert chosen[30][:8].tolist() == chosen[8].tolist()
    here = site("features")
    pool = budget_order(here.split, 0)
    network = build_surrogate(here.experiment).eval()
    with torch.no_grad():
        features = network.image.backbone(here.pairs.batch(pool).images)  # type: ignore[operator, union-attr]
    assert pool[spread_out(features, 8).numpy()].tolist() == chosen[8].tolist()


def test_uncertainty_sends_a_random_share_first(site: Callable[..., Site]) -> None:
    here = site("one", "budget.selection=uncertainty", "budget.first_share=0.4")
    rows = load_answers(here.ensure()).rows
    assert rows[:12].tolist() == budget_order(here.split, 0)[:12].tolist()
    first = next(
        path for path in (here.experiment.store.root / "surrogate").glob("*/spent.json") if len(spent_rows(path)) == 12
    )
    network = build_surrogate(here.experiment)
    load_weights(network, first.parent / "network.safetensors")
    rest = [row for row in budget_order(here.split, 0).tolist() if row not in rows[:12].tolist()]
    batch = here.pairs.batch(rest)
    with torch.no_grad():
        images, texts = network.eval()(batch.images, batch.texts)
    certainty = dict(zip(rest, (images.abs().mean(dim=1) + texts.abs().mean(dim=1)).tolist(), strict=True))
    assert set(rows[12:].tolist()) == set(sorted(rest, key=certainty.__getitem__)[:18])


def spent_rows(path: Path) -> list[int]:
    rows: list[int] = json.loads(path.read_text())["rows"]
    return rows


@pytest.mark.parametrize("moment", ["first round", "before the second", "second round"])
def test_a_killed_choice_sends_the_same_pairs_again(
    site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    overrides = ("budget.selection=uncertainty", *RESTLESS)
    whole = load_tensors(site("whole", *overrides).ensure().path / "network.safetensors")
    here = site("killed", *overrides)
    ask, fitted = BlackBox.query, training.fit
    calls: list[int] = []

    def dying_query(self: BlackBox, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(len(images))
        if moment == "before the second" and len(calls) == 2:
            raise RuntimeError("killed")
        return ask(self, images, texts)

    def dying_fit(trainer: Any, module: Any, data: Any, checkpoints: Path) -> None:
        fitted(trainer, module, data, checkpoints)
        if len(data.rows) == {"first round": 15, "second round": 30}.get(moment):
            raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(BlackBox, "query", dying_query)
        patch.setattr(training, "fit", dying_fit)
        with pytest.raises(RuntimeError, match="killed"):
            here.ensure()
    artifact = here.ensure()
    assert here.target.sent == here.door().spent_pairs == load_answers(artifact).spent == 30
    resumed = load_tensors(artifact.path / "network.safetensors")
    assert all(torch.equal(value, whole[name]) for name, value in resumed.items())


@pytest.mark.parametrize("choice", ["surrogate=ranking", "surrogate=transfer", "mining=semi_hard", "mining=batch_all"])
def test_every_way_to_learn_trains(site: Callable[..., Site], choice: str) -> None:
    here = site("one", choice)
    network = load_surrogate(here.experiment, here.ensure())
    fresh = build_surrogate(here.experiment).state_dict()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, fresh[name])}
    assert "image.head.2.weight" in changed
    assert here.target.sent == (0 if choice == "surrogate=transfer" else 30)


RANKS = ("answer=ranks", "answer.gallery=20")
TOP = ("answer=topk", "answer.gallery=20", "answer.k=5")


class ListedSite(Site):
    """A target that ranks a gallery."""

    @property
    def gallery(self) -> list[int]:
        rows: list[int] = gallery_rows(self.split, 20, self.config.target.seed).tolist()
        return rows

    def door(self) -> BlackBox:
        batch = self.pairs.batch(self.gallery)
        with torch.no_grad():
            codes = [
                binary_codes(self.target.hash_images(batch.images)),
                binary_codes(self.target.hash_texts(batch.texts)),
            ]
        self.target.sent -= len(batch)
        form = RankedAnswers(codes[0], codes[1], self.config.answer.length, "secret")
        path, budget = self.folder / "a.ledger", self.config.budget.pairs
        return BlackBox(self.target, BITS, budget, path, identity="target", run="run", reveals=form)


@pytest.fixture
def listed(compose_toy: Callable[..., RunConfig], toy_pairs: Pairs, tmp_path: Path) -> Callable[..., ListedSite]:
    def opened(name: str, *overrides: str) -> ListedSite:
        return ListedSite(compose_toy(*overrides), toy_pairs, tmp_path / name)

    return opened


@pytest.mark.parametrize("form", [RANKS, TOP], ids=["ranks", "topk"])
def test_lists_are_kept_and_codes_are_estimates(listed: Callable[..., ListedSite], form: tuple[str, ...]) -> None:
    here = listed("one", *form, "surrogate.seeds=2")
    artifact = here.ensure()
    answers = load_answers(artifact)
    assert answers.rows.tolist() == here.experiment.queried.tolist()
    assert answers.gallery.tolist() == here.gallery
    assert not set(here.gallery) & set(here.split.query.tolist())
    assert answers.spent == here.door().spent_pairs == here.target.sent == 30
    batch = here.pairs.batch(answers.rows)
    kept = load_tensors(artifact.path / "answers.safetensors")
    images, texts = here.door().query(batch.images, batch.texts)
    assert torch.equal(kept["image_lists"], images)
    assert torch.equal(kept["text_lists"], texts)
    assert answers.image_codes.shape == answers.text_codes.shape == (30, BITS)
    assert not torch.equal(answers.image_codes, binary_codes(here.target.hash_images(batch.images)))
    assert isinstance(load_surrogate(here.experiment, artifact), EnsembleNetwork)


@pytest.mark.parametrize("surrogate", ["default", "ranking"])
def test_what_is_revealed_makes_another_surrogate(listed: Callable[..., ListedSite], surrogate: str) -> None:
    net = ["image_net@surrogate.image_net=small_cnn", f"surrogate={surrogate}", "surrogate.epochs=1"]
    sites = [listed(form[0], *form, *net) for form in (RANKS, TOP)]
    first, second = (site.ensure() for site in sites)
    assert first.key != second.key
    assert listed("again", *RANKS, *net, "answer.k=3").ensure().key == first.key  # k counts under topk alone
    weights = [load_tensors(artifact.path / "network.safetensors") for artifact in (first, second)]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_codes_and_what_asks_nothing_have_the_keys_that_they_had(
    site: Callable[..., Site], toy_experiment: Callable[..., Experiment]
) -> None:
    plain = _depends_on(toy_experiment(), TARGET)
    assert "answer" not in plain
    assert _depends_on(toy_experiment("answer.gallery=7"), TARGET) == plain
    assert _depends_on(toy_experiment(*LABELS, *RANKS), TARGET) == _depends_on(toy_experiment(*LABELS), TARGET)
    assert _depends_on(toy_experiment(*RANKS), TARGET)["answer"] == {"name": "ranks", "gallery": 20}
    assert _depends_on(toy_experiment(*TOP), TARGET)["answer"] == {"name": "topk", "gallery": 20, "k": 5}
    assert not len(load_answers(site("codes").ensure()).gallery)


def test_pairs_may_be_chosen_by_what_was_learned_from_lists(listed: Callable[..., ListedSite]) -> None:
    here = listed("one", *TOP, "budget.selection=uncertainty")
    answers = load_answers(here.ensure())
    assert answers.rows.tolist() != here.experiment.queried.tolist()
    assert len(set(answers.rows.tolist())) == answers.spent == here.target.sent == 30
