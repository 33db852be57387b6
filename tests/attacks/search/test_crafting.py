"""The stage of a search, at the door to a real network."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aach_lightning.attacks.search import crafting
from aach_lightning.attacks.search.crafting import ensure_searched
from aach_lightning.attacks.search.problem import Found
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split
from aach_lightning.networks.build import build_network
from aach_lightning.runtime.store import ArtifactStore
from aach_lightning.targets.blackbox import BlackBox

ROWS = np.array([50, 3, 17, 8, 41, 22, 5, 36, 11, 29])  # batches of 4, 4 and 2
QUERIES = 129  # 12 an item, and 9 are left
SEARCHES = {
    "square": ("attack=square", "attack.search.changed=0.3"),
    "signhunter": ("attack=signhunter",),
    "nes": ("attack=nes", "attack.search.samples=4", "attack.search.step_size=0.3"),
}


class Desk:
    """Searches in a store, at a door that may break, and counts what reaches the target."""

    def __init__(self, config: RunConfig, pairs: Pairs, folder: Path) -> None:
        self.config, self.pairs, self.folder = config, pairs, folder
        target = config.target
        self.network = build_network(target.image_net, target.text_net, 16, 32, 16, 7).eval()
        self.store = ArtifactStore(folder / "store")
        self.asked = 0
        self.breaks_after: int | None = None
        self.open()

    def open(self) -> None:
        """As a new process does."""
        self.door = BlackBox(self.network, 16, QUERIES, self.folder / "ledger", identity="target", run="search")

    def search(self, modality: Modality = Modality.image, **changed: Any) -> Found:
        ask = self.door.query_images if modality == Modality.image else self.door.query_texts

        def codes(items: Tensor) -> Tensor:
            if self.breaks_after is not None and self.asked + len(items) > self.breaks_after:
                raise ConnectionError("killed")
            self.asked += len(items)
            return ask(items)

        settings: dict[str, Any] = {
            "config": self.config,
            "pairs": self.pairs,
            "rows": ROWS,
            "codes": codes,
            "target_key": "target",
            **changed,
        }
        config, rows = deepcopy(settings["config"]), settings["rows"]
        config.evaluation.queries = len(rows)
        rest = np.setdiff1d(np.arange(len(self.pairs)), rows)
        experiment = Experiment(config, settings["pairs"], Split(rows, rest, rest), self.store)
        return ensure_searched(experiment, settings["codes"], settings["target_key"], modality)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crafting, "BATCH", 4)


@pytest.fixture
def desk(compose_toy: Callable[..., RunConfig], toy_pairs: Pairs, tmp_path: Path) -> Callable[..., Desk]:
    def opened(name: str, *overrides: str) -> Desk:
        config = compose_toy(f"attack.queries={QUERIES}", *(overrides or SEARCHES["square"]))
        return Desk(config, toy_pairs, tmp_path / name)

    return opened


def same(first: Found, second: Found) -> bool:
    return all(torch.equal(a, b) for a, b in zip(vars(first).values(), vars(second).values(), strict=True))


@pytest.mark.parametrize("modality", [Modality.image, Modality.text])
@pytest.mark.parametrize("name", SEARCHES)
def test_the_ledger_counts_what_the_search_says(desk: Callable[..., Desk], name: str, modality: Modality) -> None:
    here = desk("one", *SEARCHES[name])
    found = here.search(modality)
    clean = here.pairs.batch(ROWS)
    items = clean.images if modality == Modality.image else clean.texts
    assert found.delta.shape == items.shape
    assert found.delta.dtype == torch.float32
    assert float(found.delta.abs().max()) <= (8 / 255 if modality == Modality.image else 0.1) + 1e-6
    assert int(found.queries.sum()) == here.asked == here.door.spent == here.door.paid
    assert here.door.spent_pairs == 0
    assert int(found.queries.max()) <= 12
    ask = here.network.hash_images if modality == Modality.image else here.network.hash_texts
    changed = items + found.delta
    if modality == "image":
        changed = (changed * 255).round() / 255
    with torch.no_grad():
        assert torch.equal(found.distance, ((ask(changed) >= 0) != (ask(items) >= 0)).sum(dim=1))


def test_a_second_call_finds_it_in_the_store(desk: Callable[..., Desk]) -> None:
    here = desk("one")
    first = here.search()
    asked = here.asked
    assert same(here.search(), first)
    assert here.asked == asked
    assert not list(here.store.root.rglob("batch-*"))


@pytest.mark.parametrize("modality", [Modality.image, Modality.text])
@pytest.mark.parametrize("name", SEARCHES)
def test_a_killed_search_goes_on_and_pays_nothing_twice(
    desk: Callable[..., Desk], name: str, modality: Modality
) -> None:
    whole = desk("whole", *SEARCHES[name]).search(modality)
    here = desk("killed", *SEARCHES[name])
    first_batch = int(whole.queries[:4].sum())
    here.breaks_after = first_batch + 25
    with pytest.raises(ConnectionError, match="killed"):
        here.search(modality)
    assert [file.name for file in here.store.root.rglob("batch-*")] == ["batch-00000.safetensors"]
    paid = here.door.paid
    assert first_batch < paid <= first_batch + 25
    here.breaks_after, here.asked = None, 0
    here.open()
    torch.manual_seed(77)
    assert same(here.search(modality), whole)
    assert here.asked == int(whole.queries[4:].sum())  # the finished batch asks nothing, the cut one all again
    assert here.door.paid == here.door.spent == int(whole.queries.sum())


@pytest.mark.parametrize("damage", ["truncated", "empty", "missing"])
def test_a_damaged_batch_is_searched_again_for_nothing(desk: Callable[..., Desk], damage: str) -> None:
    whole = desk("whole").search()
    here = desk("damaged")
    here.breaks_after = int(whole.queries[:4].sum())
    with pytest.raises(ConnectionError):
        here.search()
    (file,) = here.store.root.rglob("batch-00000.safetensors")
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes({"truncated": data[:-50], "empty": b""}[damage])
    here.breaks_after = None
    assert same(here.search(), whole)
    assert here.door.paid == int(whole.queries.sum())


def test_only_what_changes_a_delta_starts_a_new_search(
    desk: Callable[..., Desk], compose_toy: Callable[..., RunConfig]
) -> None:
    here = desk("one")
    here.search()
    before = here.asked

    def other(*overrides: str) -> RunConfig:
        return compose_toy(*SEARCHES["square"], f"attack.queries={QUERIES}", *overrides)

    for change in (
        "attack.text_epsilon=0.4",
        "attack.modality=image",
        "attack.batch_size=3",
        "attack.steps=9",
        "attack.queries=120",  # the same share of each item
        "surrogate.epochs=9",
    ):
        here.search(config=other(change))
    assert here.asked == before
    changes: list[dict[str, Any]] = [
        {"config": other("attack.epsilon=4")},
        {"config": other("attack.norm=one_sided")},
        {"config": other("seed=1")},
        {"config": other("attack.search.changed=0.2")},
        {"config": other("attack.queries=119")},
        {"rows": ROWS[:3]},
        {"target_key": "other"},
        {"pairs": replace(here.pairs, fingerprint="other")},
    ]
    for changed in changes:
        here.folder = here.folder / "next"  # with a budget of its own
        here.open()
        here.search(**changed)
        assert here.asked > before, changed
        before = here.asked


def test_the_other_processes_do_not_ask(desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is not the first gets what the first has put into the store."""
    here = desk("one")
    first = here.search()

    def refused(items: Tensor) -> Tensor:
        raise AssertionError("asked")

    monkeypatch.setattr("aach_lightning.runtime.ranks.on_first", lambda function: True)
    assert same(here.search(codes=refused), first)


@pytest.mark.parametrize(("name", "warned"), [("nes", True), ("square", False)])
def test_a_search_that_changes_nothing_says_so(
    desk: Callable[..., Desk], caplog: pytest.LogCaptureFixture, name: str, warned: bool
) -> None:
    found = desk("one", *SEARCHES[name], "attack.queries=20").search()
    assert bool(found.delta.any()) is not warned
    assert ("2 queries for each may be too few" in caplog.text) is warned
