import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split, make_split
from aach_lightning.networks.defences import JPEG, BitDepth, MedianFilter, RandomResize
from aach_lightning.networks.hashing import binary_codes
from aach_lightning.retrieval import mean_average_precision
from aach_lightning.runtime.store import Artifact, ArtifactStore
from aach_lightning.targets import deployment, training
from aach_lightning.targets.access import open_target
from aach_lightning.targets.deployment import ensure_deployed, load_target
from aach_lightning.targets.index import CodeIndex, read_report, validation_rows
from aach_lightning.targets.ledger import LedgerMismatch
from aach_lightning.targets.training import ensure_target

DEFENCES = {
    "jpeg": (("target/defence=jpeg", "target.defence.quality=10"), JPEG(10)),
    "bit_depth": (("target/defence=bit_depth", "target.defence.bits=1"), BitDepth(1)),
    "resize": (("target/defence=resize", "target.defence.smallest=0.5", "target.defence.seed=4"), RandomResize(0.5, 4)),
    "median": (("target/defence=median", "target.defence.window=5"), MedianFilter(5)),
}


@pytest.fixture
def split(toy_pairs: Pairs) -> Split:
    return make_split(len(toy_pairs), 10, 40, seed=0)


@pytest.fixture
def build(
    compose_toy: Callable[..., RunConfig], toy_pairs: Pairs, split: Split
) -> Callable[..., tuple[Experiment, Artifact]]:
    def built(*overrides: str) -> tuple[Experiment, Artifact]:
        config = compose_toy(*overrides)
        here = Experiment(config, toy_pairs, split, ArtifactStore(Path(config.paths.store)))
        return here, ensure_deployed(here)

    return built


def test_without_a_defence_it_is_the_trained_target(
    build: Callable[..., tuple[Experiment, Artifact]], toy_pairs: Pairs, split: Split
) -> None:
    here, deployed = build()
    store = here.store
    assert ensure_target(here).path == deployed.path
    assert [path.name for path in store.root.iterdir()] == ["target"]
    depends_on = json.loads((deployed.path / "artifact.json").read_text())["depends_on"]
    assert not {"defence", "adversarial"} & set(depends_on["config"])


@pytest.mark.parametrize("name", DEFENCES)
def test_a_defended_target_answers_as_its_network_does_to_defended_images(
    build: Callable[..., tuple[Experiment, Artifact]], toy_pairs: Pairs, split: Split, name: str
) -> None:
    overrides, defence = DEFENCES[name]
    plain = CodeIndex.load(build()[1].path)
    here, artifact = build(*overrides)
    index, network = CodeIndex.load(artifact.path), load_target(here, artifact)
    batch = toy_pairs.batch(range(60))
    with torch.no_grad():
        expected = binary_codes(network.hash_images(defence(batch.images)))
    assert torch.equal(index.image_codes, expected)
    assert not torch.equal(index.image_codes, plain.image_codes)
    assert torch.equal(index.text_codes, plain.text_codes)
    black_box, door = open_target(here, artifact)
    images, texts = black_box.query(batch.images[:30], batch.texts[:30])
    assert torch.equal(images, expected[:30])
    assert torch.equal(texts, plain.text_codes[:30])
    assert torch.equal(door.image_codes(batch.images), expected)
    query = validation_rows(split, 8, 0)
    database = np.setdiff1d(split.database, query)
    labels = torch.from_numpy(toy_pairs.labels)
    value = mean_average_precision(expected[query], labels[query], index.text_codes[database], labels[database])
    assert read_report(artifact)["validation_map"]["i2t"] == pytest.approx(value)


def test_the_target_is_trained_once_for_all_defences(
    build: Callable[..., tuple[Experiment, Artifact]], monkeypatch: pytest.MonkeyPatch
) -> None:
    original, runs = training._train, []
    monkeypatch.setattr(training, "_train", lambda *arguments: (runs.append(1), original(*arguments)))
    built = [build(*overrides)[1] for overrides in ((), *(overrides for overrides, _ in DEFENCES.values()))]
    built.append(build("target/defence=jpeg", "target.defence.quality=11")[1])
    assert len(runs) == 1
    assert len({artifact.key for artifact in built}) == len(built) == 6
    weights = {(artifact.path / "network.safetensors").read_bytes() for artifact in built}
    assert len(weights) == 1
    again = build(*DEFENCES["jpeg"][0])[1]
    assert (again.key, again.built) == (built[1].key, False)


def test_another_defence_has_another_ledger(
    build: Callable[..., tuple[Experiment, Artifact]], toy_pairs: Pairs
) -> None:
    batch, files = toy_pairs.batch(range(5)), set()
    for overrides in ((), *(overrides for overrides, _ in DEFENCES.values())):
        here, artifact = build(*overrides)
        black_box, _ = open_target(here, artifact)
        assert (black_box.spent, black_box.paid) == (0, 0)
        black_box.query(batch.images, batch.texts)
        files.add(f"{artifact.key}.ledger")
    ledgers = here.store.root / "ledger"
    assert {path.name for path in ledgers.glob("*.ledger")} == files
    assert len(files) == 5
    first, second = sorted(files)[:2]
    (ledgers / first).replace(ledgers / second)
    for overrides in ((), *(overrides for overrides, _ in DEFENCES.values())):
        here, artifact = build(*overrides)
        if f"{artifact.key}.ledger" == second:
            with pytest.raises(LedgerMismatch):
                open_target(here, artifact)[0].query(batch.images, batch.texts)


def test_weights_are_copied_where_they_cannot_be_linked(
    build: Callable[..., tuple[Experiment, Artifact]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError("no links here")

    plain = build()[1]
    linked = build("target/defence=jpeg")[1]
    monkeypatch.setattr(deployment.os, "link", refused)
    copied = build("target/defence=median")[1]
    files = [artifact.path / "network.safetensors" for artifact in (plain, linked, copied)]
    assert files[0].samefile(files[1])
    assert not files[0].samefile(files[2])
    assert files[0].read_bytes() == files[2].read_bytes()


def test_a_target_that_has_learned_keeps_its_map_behind_a_mild_defence_and_answers_noise_differently(
    build: Callable[..., tuple[Experiment, Artifact]], toy_pairs: Pairs
) -> None:
    learning = ("target.epochs=12", "target.image_lr=0.01", "target.text_lr=0.01")
    mild = {
        "jpeg": "target.defence.quality=75",
        "bit_depth": "target.defence.bits=4",
        "median": "target.defence.window=3",
    }
    plain = read_report(build(*learning)[1])["validation_map"]["i2t"]
    batch = toy_pairs.batch(range(60))
    signs = torch.randint(0, 2, batch.images.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    noisy = (batch.images + 16 / 255 * signs).clamp(0, 1)
    here, artifact = build(*learning)
    expected = open_target(here, artifact)[1].image_codes(noisy)
    assert plain > 0.9
    for name, value in mild.items():
        here, artifact = build(*learning, f"target/defence={name}", value)
        assert read_report(artifact)["validation_map"]["i2t"] > plain - 0.05, name
        assert not torch.equal(open_target(here, artifact)[1].image_codes(noisy), expected), name
