"""aach_lightning as a library: an attack on an object, and its pieces."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import aach_lightning as aach
from aach_lightning import cli
from aach_lightning.data.pairs import Pairs
from aach_lightning.errors import AachError, ConfigError
from aach_lightning.evaluation.result import Result as Measured
from aach_lightning.retrieval import mean_average_precision
from aach_lightning.runtime.compose import compose_config
from aach_lightning.runtime.instantiate import VARIABLE
from aach_lightning.targets.blackbox import BudgetExceeded
from tests.api.systems import Mean, Projections, Signs, codes_by_hand

QUICK = [
    "image_net@surrogate.image_net=small_cnn",
    "+surrogate.image_net.backbone.width=32",
    "surrogate.text_net.backbone.width=32",
    "surrogate.epochs=2",
    "attack.steps=3",
    "evaluation.picture_rows=2",
]
WHOLE = [*QUICK, "split.query=20", "split.train=60", "evaluation.queries=12"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AACH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return aach.load_pairs("scenes", pairs=120, image_size=32)


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def attacked(pairs: Pairs, tmp_path_factory: pytest.TempPathFactory) -> aach.Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("attacked"))
        found = aach.attack(Projections(), pairs, budget=30, epsilon=16, overrides=WHOLE)
        return aach.Result(found.measured, found.folder.absolute())


def test_importing_it_imports_nothing_else() -> None:
    script = "import sys, aach_lightning as a; print(a.__version__, [m for m in sys.modules if m.startswith('aach_l')])"
    script += "; print('torch' in sys.modules, 'attack' in dir(a))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [f"{aach.__version__} ['aach_lightning']", "False True"]
    with pytest.raises(AttributeError, match="no attribute 'attak'"):
        aach.attak  # noqa: B018


def test_an_attack_measures_what_the_system_retrieves(attacked: aach.Result, pairs: Pairs) -> None:
    rows = attacked.measured.rows
    assert [(row.direction, row.query) for row in rows] == [
        (direction, query) for direction in ("I2T", "T2I") for query in ("clean", "noise", "attack", "white_box")
    ]
    images, texts = codes_by_hand(Projections(), pairs)
    split = aach.prepare(Projections(), pairs, budget=30, overrides=WHOLE).experiment.split
    labels, queries = torch.from_numpy(pairs.labels), torch.from_numpy(split.query[:12])
    database = torch.from_numpy(split.database)
    for (asking, searched), direction in (((images, texts), "I2T"), ((texts, images), "T2I")):
        clean = mean_average_precision(asking[queries], labels[queries], searched[database], labels[database])
        assert attacked.measured.row(direction, "clean").map == pytest.approx(clean, abs=1e-9)  # type: ignore[arg-type, union-attr]
    attack = next(row for row in rows if row.query == "attack")
    assert (attack.needs, attack.pairs_queried, attack.epsilon) == ("codes", 30, pytest.approx(16 / 255))
    assert attack.linf <= 16 / 255 + 1e-6
    assert attacked.measured.queries["spent_pairs"] == 30
    assert attacked.measured.config["target"]["name"] == "custom"


def test_a_result_shows_itself(attacked: aach.Result) -> None:
    shown = str(attacked)
    for said in (
        "scenes: 12 queries, 100 searched, CUSTOM 16 bits",
        "white-box bound",
        "AACH, M = 30",
        "never queried",
    ):
        assert said in shown
    frame = attacked.frame
    assert isinstance(frame, pd.DataFrame)
    assert frame.groupby("direction")["map"].count().to_dict() == {"I2T": 4, "T2I": 4}
    pictures = attacked.pictures
    assert len(pictures) == 2
    assert np.abs(pictures[0].adversarial - pictures[0].clean).max() <= 16 / 255 + 1e-6
    assert attacked.picture is not None
    with Image.open(attacked.picture) as drawn:
        assert drawn.format == "PNG"
    assert (attacked.folder / "result.json").is_file()


@pytest.mark.usefixtures("_here")
def test_the_command_finds_the_same(attacked: aach.Result, pairs: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    """target=custom and data=scenes on the command line: equal rows; and what one has built the other finds."""
    monkeypatch.setenv(VARIABLE, "tests.")
    system = ["target=custom", "target.method._target_=tests.api.systems.Projections", "target.code_length=16"]
    told = ["data.pairs=120", "data.image_size=32", "budget.pairs=30", "attack.epsilon=16", *WHOLE]
    config = compose_config([*system, *told], Path("output"))
    cli.measure(config)
    assert Measured.load(Path("output/result.json")).rows == attacked.measured.rows
    built = set(Path("outputs/store").glob("*/*/artifact.json"))
    again = aach.attack(Projections(), pairs, budget=30, epsilon=16, overrides=WHOLE)
    assert again.measured.rows == attacked.measured.rows
    assert set(Path("outputs/store").glob("*/*/artifact.json")) == built


@pytest.mark.usefixtures("_here")
def test_a_system_without_gradients_has_no_white_box(pairs: Pairs) -> None:
    image = [*WHOLE, "attack.modality=image"]
    with pytest.raises(ConfigError, match="Name it and its version"):
        aach.attack(Mean(), pairs, budget=30, overrides=image)
    for system, identity in ((Mean(), "brightness, version 1"), (Signs(), None)):
        result = aach.attack(system, pairs, budget=30, identity=identity, overrides=image)
        assert [row.query for row in result.measured.rows] == ["clean", "noise", "attack"]
        assert all(row.share_of_white_box is None for row in result.measured.rows)
    searched = aach.attack(Signs(), pairs, overrides=[*image, "budget.pairs=30", "attack=square", "attack.queries=40"])
    assert searched.measured.queries["spent_items"] <= 40


@pytest.mark.usefixtures("_here")
def test_the_pieces_one_by_one(pairs: Pairs) -> None:
    prepared = aach.prepare(Projections(), pairs, budget=30, epsilon=4, overrides=WHOLE)
    batch = pairs.batch(prepared.experiment.queried)
    first = prepared.door.query(batch.images[:2], batch.texts[:2])
    assert torch.equal(first[0], codes_by_hand(Projections(), pairs)[0][prepared.experiment.queried[:2]])
    assert prepared.door.spent == 2
    surrogate = prepared.surrogate()
    assert prepared.door.spent == prepared.door.budget == 30  # the two that were asked before are not paid again
    with pytest.raises(BudgetExceeded):
        prepared.door.query_images(batch.images)
    other = pairs.batch(prepared.experiment.split.query)
    for clean, epsilon in ((other.images, 4 / 255), (other.texts, 0.1)):
        changed = surrogate.perturb(clean)
        assert changed.shape == clean.shape
        assert 0 < (changed - clean).abs().max() <= epsilon + 1e-6
        assert changed.min() >= 0
        assert changed.max() <= 1
    levels = surrogate.perturb(other.images) * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert torch.equal(levels, surrogate.perturb(other.images) * 255)
    assert prepared.run().measured.queries["spent_pairs"] == 30


@pytest.mark.usefixtures("_here")
def test_what_perturbing_alone_cannot_do(pairs: Pairs) -> None:
    for further in (
        ["attack=sdha", "attack.source=surrogate", "attack.bank=queried"],
        ["attack=universal"],
        ["attack.query_anchor=true"],
    ):
        prepared = aach.prepare(Projections(), pairs, budget=30, overrides=[*WHOLE, *further])
        with pytest.raises(ConfigError, match="perturb follows gradients of the surrogate alone"):
            prepared.surrogate().perturb(pairs.batch([0]).images)


@pytest.mark.usefixtures("_here")
def test_a_folder_of_pairs(tmp_path: Path) -> None:
    rows = ["id,image,text,labels"]
    rng = np.random.default_rng(0)
    for number in range(40):
        name, colour = (("red", (220, 40, 40)), ("blue", (40, 40, 220)))[number % 2]
        pixels = np.clip(np.array(colour) + rng.integers(-40, 41, (24, 24, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        rows.append(f"{number},{number}.png,a {name} thing {number % 7},{name}")
    (tmp_path / "pairs.csv").write_text("\n".join(rows), encoding="utf-8")
    pairs = aach.load_pairs(tmp_path, image_size=32)
    assert (len(pairs), pairs.label_names) == (40, ("blue", "red"))
    system = Projections(len(pairs.words))
    result = aach.attack(system, tmp_path, budget=10, overrides=[*QUICK, "data.image_size=32"])
    assert result.measured.data["hash"] == pairs.fingerprint
    assert result.measured.config["data"]["root"] == str(tmp_path)
    assert (result.measured.data["query"], result.measured.data["train"]) == (8, 20)  # of a small collection


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    ("further", "said"),
    [
        ("trainer=ddp", "runs in its one process"),
        ("attack.epsilon=-1", "attack.epsilon=-1"),
        ("attack.epsilom=8", "attack.epsilom"),
        ("target.code_length=8", "shape 64 x 8"),
    ],
)
def test_mistakes_are_said(pairs: Pairs, further: str, said: str) -> None:
    with pytest.raises(AachError) as raised:
        aach.attack(Projections(), pairs, budget=30, overrides=[*WHOLE, further])
    assert said in str(raised.value)
