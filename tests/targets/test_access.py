import json
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split, gallery_rows, make_split
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.store import Artifact
from aach_lightning.targets import access
from aach_lightning.targets.access import open_for_search, open_target
from aach_lightning.targets.blackbox import BudgetExceeded
from aach_lightning.targets.deployment import deployed_target
from aach_lightning.targets.index import CodeIndex
from aach_lightning.targets.training import ensure_target


@pytest.fixture
def split(toy_pairs: Pairs) -> Split:
    return make_split(len(toy_pairs), 10, 40, seed=0)


@pytest.fixture
def artifact(toy_experiment: Callable[..., Experiment]) -> Artifact:
    return ensure_target(toy_experiment())


def test_both_doors_give_the_codes_of_the_index(
    toy_experiment: Callable[..., Experiment], toy_pairs: Pairs, artifact: Artifact
) -> None:
    black_box, door = open_target(toy_experiment(), artifact)
    index = CodeIndex.load(artifact.path)
    batch = toy_pairs.batch(range(30))
    images, texts = black_box.query(batch.images, batch.texts)
    assert torch.equal(images, index.image_codes[:30])
    assert torch.equal(texts, index.text_codes[:30])
    everything = toy_pairs.batch(range(60))
    assert torch.equal(door.image_codes(everything.images), index.image_codes)
    assert torch.equal(door.text_codes(everything.texts), index.text_codes)
    assert (black_box.spent, door.items) == (30, 120)


def test_the_budget_is_m_pairs(toy_experiment: Callable[..., Experiment], toy_pairs: Pairs, artifact: Artifact) -> None:
    black_box, _ = open_target(toy_experiment(), artifact)
    assert black_box.budget == 30
    batch = toy_pairs.batch(range(31))
    with pytest.raises(BudgetExceeded, match="31 new queries"):
        black_box.query(batch.images, batch.texts)
    black_box.query(batch.images[:30], batch.texts[:30])
    again, _ = open_target(toy_experiment(), artifact)
    assert again.spent == 30
    again.query(batch.images[:30], batch.texts[:30])
    with pytest.raises(BudgetExceeded):
        again.query(batch.images[30:], batch.texts[30:])
    assert again.paid == 30


@pytest.mark.parametrize(("modality", "anchors"), [("image", 6), ("text", 6), ("both", 12)])
def test_query_anchors_cost_one_query_for_each_item(
    toy_experiment: Callable[..., Experiment], toy_pairs: Pairs, artifact: Artifact, modality: str, anchors: int
) -> None:
    config = toy_experiment("attack.query_anchor=true", f"attack.modality={modality}")
    black_box, _ = open_target(config, artifact)
    assert black_box.budget == 30 + anchors
    batch = toy_pairs.batch(range(60))
    black_box.query(batch.images[:30], batch.texts[:30])
    index = CodeIndex.load(artifact.path)
    if modality != "text":
        assert torch.equal(black_box.query_images(batch.images[40:46]), index.image_codes[40:46])
    if modality != "image":
        assert torch.equal(black_box.query_texts(batch.texts[40:46]), index.text_codes[40:46])
    assert (black_box.spent, black_box.spent_pairs) == (30 + anchors, 30)
    with pytest.raises(BudgetExceeded):
        black_box.query_images(batch.images[50:51])


def test_runs_that_send_the_same_share_a_count_and_others_do_not(
    toy_experiment: Callable[..., Experiment], toy_pairs: Pairs, artifact: Artifact
) -> None:
    batch = toy_pairs.batch(range(20))
    first, _ = open_target(toy_experiment(), artifact)
    first.query(batch.images, batch.texts)
    same, _ = open_target(toy_experiment("attack.epsilon=4", "surrogate.epochs=9"), artifact)
    assert same.spent == 20
    for change in ("seed=1", "budget.pairs=25", "attack.query_anchor=true"):
        other, _ = open_target(toy_experiment(change), artifact)
        assert (other.spent, other.paid) == (0, 20), change
        other.query(batch.images[:5], batch.texts[:5])  # answered from the ledger, and still this run's own price
        assert (other.spent, other.paid) == (5, 20), change


class Elsewhere(nn.Module):
    """Has a parameter on a device without memory, and answers there."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, device="meta"))
        self.seen: list[torch.device] = []

    def hash_images(self, images: Tensor) -> Tensor:
        self.seen.append(images.device)
        return torch.ones(len(images), 16)

    hash_texts = hash_images


def test_a_target_computes_where_the_run_does_and_gets_its_inputs_there(
    toy_experiment: Callable[..., Experiment], toy_pairs: Pairs, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Experiment, "device", torch.device("meta"))
    network = deployed_target(toy_experiment(), artifact)
    assert isinstance(network, nn.Module)
    assert {parameter.device.type for parameter in network.parameters()} == {"meta"}
    target, batch = Elsewhere().eval(), toy_pairs.batch([0, 1])
    monkeypatch.setattr(access, "deployed_target", lambda *_: target)
    black_box, door = open_target(toy_experiment(), artifact)
    black_box.query(batch.images, batch.texts)
    door.image_codes(batch.images)
    assert [device.type for device in target.seen] == ["meta"] * 3


def test_the_ledger_lies_in_the_store_under_the_key_of_the_target(
    toy_experiment: Callable[..., Experiment], toy_pairs: Pairs, artifact: Artifact
) -> None:
    black_box, _ = open_target(toy_experiment(), artifact)
    batch = toy_pairs.batch([0])
    black_box.query(batch.images, batch.texts)
    files = [file.name for file in (toy_experiment().store.root / "ledger").iterdir() if file.suffix == ".ledger"]
    assert files == [f"{artifact.key}.ledger"]
    manifest = json.loads((artifact.path / "artifact.json").read_text())
    assert not any("ledger" in name for name in manifest["files"])


@pytest.mark.parametrize(("modality", "directions"), [("image", 1), ("text", 1), ("both", 2)])
def test_a_search_has_a_budget_of_its_own_and_needs_no_pairs(
    toy_experiment: Callable[..., Experiment], toy_pairs: Pairs, artifact: Artifact, modality: str, directions: int
) -> None:
    def config(*overrides: str) -> Experiment:
        return toy_experiment("attack=square", f"attack.modality={modality}", "attack.queries=13", *overrides)

    batch = toy_pairs.batch(range(40))
    of_pairs, _ = open_target(config(), artifact)
    of_pairs.query(batch.images[:20], batch.texts[:20])
    black_box, _ = open_for_search(config(), artifact)
    assert (black_box.budget, black_box.spent) == (13 * directions, 0)
    black_box.query_images(batch.images[: 13 * directions])
    with pytest.raises(BudgetExceeded):
        black_box.query_images(batch.images[35:36])
    again, _ = open_for_search(config("surrogate.epochs=9", "attack.batch_size=3"), artifact)
    assert (again.spent, again.spent_pairs) == (13 * directions, 0)
    changes = [
        "seed=1",
        "attack.norm=one_sided",
        "evaluation.queries=3",
        "attack.search.changed=0.1",
        "attack.queries=14",
        "attack.epsilon=4",
        "attack.text_epsilon=0.3",
    ]
    for change in changes:
        changed, _ = open_for_search(config(change), artifact)
        unseen = {"image": "attack.text_epsilon=0.3", "text": "attack.epsilon=4"}.get(modality)
        assert changed.spent == (13 if change == unseen else 0), change
    assert of_pairs.spent == 20


@pytest.mark.parametrize("selection", ["coverage", "uncertainty"])
def test_runs_whose_surrogates_choose_other_pairs_have_budgets_of_their_own(
    toy_experiment: Callable[..., Experiment], toy_pairs: Pairs, artifact: Artifact, selection: str
) -> None:
    everything = toy_pairs.batch(range(60))
    chosen = f"budget.selection={selection}"
    runs = [(), (chosen,), (chosen, "surrogate.epochs=3"), (chosen, "seed=1")]
    for number, overrides in enumerate(runs):
        door, _ = open_target(toy_experiment(*overrides), artifact)
        assert door.spent == 0
        rows = slice(number * 10, number * 10 + 30)
        door.query(everything.images[rows], everything.texts[rows])
        assert door.spent == 30
    again, _ = open_target(toy_experiment(chosen, "attack.epsilon=4"), artifact)
    assert again.spent == 30
    with pytest.raises(BudgetExceeded):
        again.query(everything.images[50:51], everything.texts[50:51])


@pytest.mark.parametrize(("answer", "length"), [("ranks", 20), ("topk", 5)])
def test_a_door_that_ranks_answers_with_the_gallery_of_the_index(
    toy_experiment: Callable[..., Experiment],
    toy_pairs: Pairs,
    split: Split,
    artifact: Artifact,
    answer: str,
    length: int,
) -> None:
    of_lists = (f"answer={answer}", "answer.gallery=20", "answer.k=5")
    black_box, door = open_target(toy_experiment(*of_lists), artifact)
    index, batch = CodeIndex.load(artifact.path), toy_pairs.batch(range(30))
    gallery = gallery_rows(split, 20, 0)
    assert gallery.tolist() == gallery_rows(split, 30, 0)[:20].tolist() != gallery_rows(split, 20, 1).tolist()
    assert set(gallery.tolist()) <= set(split.database.tolist())
    sides = ((index.image_codes, index.text_codes), (index.text_codes, index.image_codes))
    for found, (own, other) in zip(black_box.query(batch.images, batch.texts), sides, strict=True):
        away = (own[:30, None] != other[gallery][None]).sum(dim=2)
        assert found.shape == (30, length)
        assert torch.equal(away.gather(1, found), away.sort(dim=1).values[:, :length])
    assert torch.equal(door.image_codes(batch.images), index.image_codes[:30])  # measurements see what they saw
    again, _ = open_target(toy_experiment(*of_lists, "attack.epsilon=4"), artifact)
    assert (again.spent, again.paid, black_box.budget) == (30, 30, 30)
    of_codes, _ = open_target(toy_experiment(), artifact)
    assert (of_codes.spent, of_codes.paid) == (0, 0)
    others, _ = open_target(toy_experiment(*of_lists, "answer.gallery=21"), artifact)
    assert (others.spent, others.paid) == (0, 0)


def test_a_gallery_larger_than_the_database_is_refused(split: Split) -> None:
    with pytest.raises(ConfigError, match=r"answer\.gallery=51: .* must be at most 50"):
        gallery_rows(split, 51, 0)
