from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aach_lightning.attacks import crafting
from aach_lightning.attacks.build import attack_space, make_objective
from aach_lightning.attacks.crafting import ensure_deltas
from aach_lightning.attacks.items import Bank, ItemCodes
from aach_lightning.attacks.module import AttackModule
from aach_lightning.attacks.source import Source, build_bank
from aach_lightning.config.choices import LoggerName
from aach_lightning.config.schema import LoggerConfig, RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split
from aach_lightning.networks import TextMLP
from aach_lightning.networks.build import build_network
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork, binary_codes
from aach_lightning.runtime.curves import read_rows
from aach_lightning.runtime.loggers import track
from aach_lightning.runtime.store import ArtifactStore
from aach_lightning.runtime.wandb_run import Job
from aach_lightning.zoo.text_multiscale import TextMultiScale

ROWS = np.array([50, 3, 17, 8, 41, 22, 5, 36, 11, 29])  # batches of 4, 4 and 2
QUERIED = np.arange(30, 60)
ANSWERS = torch.randint(0, 2, (30, 16), generator=torch.Generator().manual_seed(5), dtype=torch.int8) * 2 - 1
RESTLESS = ("attack.random_start=true", "attack.gradient.diversity.probability=0.7")
NO_CODES = ItemCodes()


class Desk:
    """Crafts deltas in a store, and counts how often a bank is built."""

    def __init__(self, config: RunConfig, pairs: Pairs, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config, self.pairs = config, pairs
        surrogate = config.surrogate
        self.source: HashingNetwork = build_network(surrogate.image_net, surrogate.text_net, 16, 32, 16, 7).eval()
        self.store = ArtifactStore(folder)
        self.banks = 0

        def counted(*arguments: Any) -> Bank:
            self.banks += 1
            return build_bank(*arguments)

        monkeypatch.setattr(crafting, "build_bank", counted)

    def experiment(self, config: RunConfig | None = None, rows: NDArray[np.int64] = ROWS) -> Experiment:
        config = deepcopy(config or self.config)
        config.evaluation.queries = len(rows)
        rest = np.setdiff1d(np.arange(len(self.pairs)), rows)
        return Experiment(config, self.pairs, Split(rows, rest, rest), self.store)

    def source_of(self, **changed: Any) -> Source:
        return replace(Source("attack", self.source, "source", QUERIED), **changed)

    def craft(
        self,
        modality: Modality = Modality.image,
        codes: ItemCodes = NO_CODES,
        config: RunConfig | None = None,
        rows: NDArray[np.int64] = ROWS,
        rows_known: NDArray[np.int64] = QUERIED,
        **source: Any,
    ) -> Tensor:
        source["rows"] = rows_known
        return ensure_deltas(self.experiment(config, rows), self.source_of(**source), modality, codes)


@pytest.fixture
def desk(
    compose_toy: Callable[..., RunConfig], toy_pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Desk]:
    def opened(name: str, *overrides: str) -> Desk:
        return Desk(compose_toy(*overrides), toy_pairs, tmp_path / name, monkeypatch)

    return opened


@pytest.fixture
def attacked(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Rows of every batch that is really attacked."""
    seen: list[list[int]] = []
    original = AttackModule.predict_step

    def recorded(self: AttackModule, batch: Any, batch_index: int) -> Tensor:
        seen.append(batch.pairs.ids.tolist())
        return original(self, batch, batch_index)

    monkeypatch.setattr(AttackModule, "predict_step", recorded)
    return seen


def test_deltas_are_made_batch_by_batch_in_the_order_of_the_rows(
    desk: Callable[..., Desk], attacked: list[list[int]]
) -> None:
    here = desk("one")
    deltas = here.craft()
    assert attacked == [ROWS[:4].tolist(), ROWS[4:8].tolist(), ROWS[8:].tolist()]
    assert deltas.shape == (10, 3, 32, 32)
    assert deltas.dtype == torch.float32
    assert float(deltas.abs().max()) <= 8 / 255 + 1e-6
    alone = here.craft(rows=ROWS[4:5])
    assert float(((alone[0] - deltas[4]).abs() < 1e-5).float().mean()) > 0.98


def test_a_second_call_finds_them_in_the_store(desk: Callable[..., Desk], attacked: list[list[int]]) -> None:
    here = desk("one")
    first = here.craft()
    del attacked[:]
    assert torch.equal(here.craft(), first)
    assert attacked == []
    assert here.banks == 1
    assert not list(here.store.root.rglob("batch-*"))


def kill_at_last_batch(here: Desk, monkeypatch: pytest.MonkeyPatch, modality: Modality = Modality.image) -> None:
    original = AttackModule.predict_step

    def dying(self: AttackModule, batch: Any, batch_index: int) -> Tensor:
        if int(ROWS[8]) in batch.pairs.ids.tolist():
            raise RuntimeError("killed")
        return original(self, batch, batch_index)

    with monkeypatch.context() as patched:
        patched.setattr(AttackModule, "predict_step", dying)
        with pytest.raises(RuntimeError, match="killed"):
            here.craft(modality)


@pytest.mark.parametrize("modality", [Modality.image, Modality.text])
def test_a_restart_skips_finished_batches_and_ends_with_the_same_deltas(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch, attacked: list[list[int]], modality: Modality
) -> None:
    whole = desk("whole", *RESTLESS).craft(modality)
    here = desk("killed", *RESTLESS)
    kill_at_last_batch(here, monkeypatch, modality)
    files = sorted(file.name for file in here.store.root.rglob("batch-*"))
    assert files == ["batch-00000.safetensors", "batch-00001.safetensors"]
    del attacked[:]
    torch.manual_seed(77)
    assert torch.equal(here.craft(modality), whole)
    assert attacked == [ROWS[8:].tolist()]


@pytest.mark.parametrize("damage", ["truncated", "empty", "noise", "missing"])
def test_a_damaged_batch_is_made_again(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch, attacked: list[list[int]], damage: str
) -> None:
    whole = desk("whole").craft()
    here = desk("damaged")
    kill_at_last_batch(here, monkeypatch)
    (file,) = here.store.root.rglob("batch-00000.safetensors")
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes({"truncated": data[:-50], "empty": b"", "noise": b"\xff" * len(data)}[damage])
    del attacked[:]
    assert torch.equal(here.craft(), whole)
    assert attacked == [ROWS[:4].tolist(), ROWS[8:].tolist()]


def test_only_what_changes_a_delta_makes_new_ones(
    desk: Callable[..., Desk], compose_toy: Callable[..., RunConfig], attacked: list[list[int]]
) -> None:
    here = desk("one")
    here.craft()
    for change in ("attack.text_epsilon=0.4", "attack.modality=image", "surrogate.epochs=9"):
        here.craft(config=compose_toy(change))
    assert here.banks == 1
    for number, change in enumerate(("attack.epsilon=4", "attack.steps=2", "seed=1", "attack.norm=l2"), start=2):
        here.craft(config=compose_toy(change))
        assert here.banks == number, change
    anchored, answers = (
        compose_toy("attack.query_anchor=true"),
        SimpleNamespace(image_codes=ANSWERS, text_codes=ANSWERS),
    )
    here.craft(answers=answers)  # they decide nothing without queried anchors
    for number, changed in enumerate(
        (
            {"key": "other"},
            {"rows_known": QUERIED[:20]},
            {"config": anchored},
            {"config": anchored, "answers": answers},
            {"codes": ItemCodes(anchors=ANSWERS[:10])},
            {"codes": ItemCodes(goals=ANSWERS[:10])},
            {"rows": ROWS[:3]},
        ),
        start=here.banks + 1,
    ):
        here.craft(**changed)
        assert here.banks == number, changed


def test_spaces_are_in_units_of_the_inputs(toy_experiment: Callable[..., Experiment]) -> None:
    experiment = toy_experiment("attack.epsilon=4", "attack.text_epsilon=0.2", "attack.norm=l2")
    image, text = (attack_space(experiment, modality) for modality in Modality)
    assert (image.epsilon, image.norm, image.low, image.high) == (4 / 255, "l2", 0.0, 1.0)
    assert (text.epsilon, text.norm, text.low, text.high) == (0.2, "l2", 0.0, 1.0)


@pytest.mark.parametrize("network", [TextMLP, TextMultiScale])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_texts_may_be_negative(
    desk: Callable[..., Desk], toy_pairs: Pairs, network: Callable[..., nn.Module], norm: str
) -> None:
    """Vectors of length 1, some at the rim of [-1, 1]."""
    vectors = np.random.default_rng(0).normal(size=(60, 16)).astype(np.float32)
    vectors[3] = np.eye(16)[2]
    vectors[50] = -np.eye(16)[5]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    here = desk("one", f"attack.norm={norm}", "attack.text_epsilon=0.3")
    here.source.text = Encoder(network(16, width=32), HashHead(32, 16)).eval()
    here.pairs = replace(toy_pairs, texts=vectors, text_low=-1.0, text_high=1.0)
    clean = torch.from_numpy(vectors[ROWS])
    delta = here.craft(Modality.text)
    changed = clean + delta
    sizes = delta.abs().amax(1) if norm == "linf" else delta.norm(dim=1)
    assert float(sizes.max()) <= 0.3 + 1e-6
    assert float(sizes.min()) > 0.05
    assert bool((changed.abs() <= 1).all())
    assert bool((changed < 0).any())
    noise = attack_space(here.experiment(), Modality.text).sign_noise(clean, torch.sign(clean))
    assert float(noise[0].abs().max()) <= 0.3
    assert noise[0, 5] == 0  # row 50 is at its limit there already


@pytest.mark.parametrize("name", ["triplet", "cmla", "hag", "sdha", "mainstay"])
def test_a_bank_holds_what_the_objective_reads(
    desk: Callable[..., Desk], compose_toy: Callable[..., RunConfig], name: str
) -> None:
    here = desk("one")
    objective = make_objective(compose_toy(f"attack/objective={name}").attack)
    batch = here.pairs.batch(QUERIED)
    with torch.no_grad():
        images, texts = here.source(batch.images, batch.texts)
    experiment = here.experiment(compose_toy("attack.query_anchor=true"))
    for modality, other, own in zip(Modality, (texts, images), (images, texts), strict=True):
        bank = build_bank(experiment, here.source_of(), modality, objective)
        torch.testing.assert_close(bank.other, other)
        assert torch.equal(bank.ranking, binary_codes(bank.other))
        assert not bank.other.is_inference()
        assert (bank.own is None) == (name != "cmla")
        if bank.own is not None:
            torch.testing.assert_close(bank.own, own)
        assert (bank.labels is None) == (name in ("triplet", "hag"))
        if bank.labels is not None:
            assert bank.labels.tolist() == here.pairs.labels[QUERIED].tolist()
    answered = here.source_of(answers=SimpleNamespace(image_codes=None, text_codes=-binary_codes(texts)))
    ranking = build_bank(experiment, answered, Modality.image, objective).ranking
    assert torch.equal(ranking, -binary_codes(texts))
    own_ranking = build_bank(here.experiment(), answered, Modality.image, objective).ranking
    assert torch.equal(own_ranking, binary_codes(texts))  # no anchor was asked for


def test_each_item_keeps_its_own_queried_anchor(desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    here = desk("one", "attack.query_anchor=true")
    anchors = torch.randint(0, 2, (10, 16), generator=torch.Generator().manual_seed(0), dtype=torch.int8) * 2 - 1
    original = AttackModule.predict_step
    given: dict[int, list[int]] = {}

    def recorded(self: AttackModule, batch: Any, batch_index: int) -> Tensor:
        given.update(zip(batch.pairs.ids.tolist(), batch.codes.anchors.tolist(), strict=True))
        return original(self, batch, batch_index)

    monkeypatch.setattr(AttackModule, "predict_step", recorded)
    here.craft(codes=ItemCodes(anchors))
    assert given == dict(zip(ROWS.tolist(), anchors.tolist(), strict=True))


def tracked(folder: Path) -> AbstractContextManager[None]:
    return track(LoggerConfig(LoggerName.csv), Job("attack", "", None, {}, folder / "memory", folder / "output"))


def curve(folder: Path, stage: str) -> list[float]:
    return [row[f"attack/{stage}/loss"] for row in read_rows(folder / "output" / "curves" / "attack" / f"{stage}.csv")]


@pytest.mark.parametrize(("name", "stage"), [("attack", "image"), ("white_box", "image_white_box")])
def test_the_curve_is_the_mean_over_all_items_also_after_a_kill(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, stage: str
) -> None:
    sums: list[Tensor] = []
    original = AttackModule.predict_step

    def watched(self: AttackModule, batch: Any, batch_index: int) -> Tensor:
        delta = original(self, batch, batch_index)
        assert self.recorded is not None
        sums.append(self.recorded)
        return delta

    with monkeypatch.context() as patched, tracked(tmp_path / "whole"):
        patched.setattr(AttackModule, "predict_step", watched)
        desk("whole", "logger=csv").craft(name=name)
    assert len(sums) == 3
    expected = [sum(batch[step].item() for batch in sums) / len(ROWS) for step in range(3)]
    assert curve(tmp_path / "whole", stage) == pytest.approx(expected, rel=1e-12)
    broken = desk("broken", "logger=csv")
    with tracked(tmp_path / "broken"):
        kill_at_last_batch(broken, monkeypatch)
        broken.craft(name=name)
        broken.craft(name=name)  # found: not logged twice
    assert curve(tmp_path / "broken", stage) == pytest.approx(expected, rel=1e-12)


def test_logging_changes_no_delta(desk: Callable[..., Desk], tmp_path: Path) -> None:
    with tracked(tmp_path):
        logged = desk("logged", "logger=csv").craft()
    assert torch.equal(logged, desk("silent").craft())
