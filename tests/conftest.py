"""Tiny data and configurations, so that whole stages train in a second."""

import signal
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from aach_lightning.config.schema import RunConfig, register_schemas
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import make_split
from aach_lightning.runtime.files import digest
from aach_lightning.runtime.run import checked_config
from aach_lightning.runtime.store import ArtifactStore

PATHS = ("store", "cache", "output")
CONF = Path(__file__).parents[1] / "conf"
TINY = [
    "data.pairs=60",
    "data.image_size=32",
    "split.query=10",
    "split.train=40",
    "image_net@target.image_net=small_cnn",
    "image_net@surrogate.image_net=small_cnn",
    "+target.image_net.backbone.width=32",
    "+surrogate.image_net.backbone.width=32",
    "target.text_net.backbone.width=32",
    "surrogate.text_net.backbone.width=32",
    "target.code_length=16",
    "target.batch_size=20",
    "target.epochs=2",
    "target.validation=8",
    "budget.pairs=30",
    "surrogate.batch_size=10",
    "surrogate.epochs=2",
    "attack.steps=3",
    "attack.batch_size=4",
    "evaluation.queries=6",
    "evaluation.held_out=10",
    "evaluation.picture_rows=2",
]


@pytest.fixture(autouse=True, scope="session")
def _heard_interrupts() -> None:
    """A shell starts background jobs with Ctrl-C ignored, which all their children inherit; some tests send one."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _torch_settings() -> Iterator[None]:
    """One thread for these small networks; a Trainer's deterministic mode ends with its test."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def toy_pairs() -> Pairs:
    """60 pairs of three classes: an image has the colour of its class, a text most of the five words of its class."""
    count, classes, side, words = 60, 3, 32, 16
    rng = np.random.default_rng(0)
    label = np.arange(count) % classes
    colours = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200]])
    images = colours[label][:, :, None, None] + rng.integers(-50, 51, (count, 3, side, side))
    own = np.arange(words)[None, :] // 5 == label[:, None]
    texts = np.where(own, rng.random((count, words)) < 0.8, rng.random((count, words)) < 0.1).astype(np.uint8)
    labels = np.eye(classes, dtype=np.uint8)[label]
    pixels = images.clip(0, 255).astype(np.uint8)
    return Pairs(
        name="toy",
        names=tuple(f"pair-{number}" for number in range(count)),
        images=pixels,
        texts=texts,
        labels=labels,
        label_names=("red", "green", "blue"),
        words=tuple(f"word-{number}" for number in range(words)),
        text_low=0.0,
        text_high=1.0,
        fingerprint=digest(pixels.tobytes(), texts.tobytes(), labels.tobytes()),
        captions=tuple("" for _ in range(count)),
    )


@cache
def _composed(overrides: tuple[str, ...]) -> RunConfig:
    """Composed once for all tests that want the same; its folders are nowhere."""
    register_schemas()
    paths = [f"paths.{name}=nowhere" for name in PATHS]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return checked_config(compose("attack", [*TINY, *paths, *overrides]))


@pytest.fixture
def compose_toy(tmp_path: Path) -> Callable[..., RunConfig]:
    """Compose attack.yaml with tiny sizes, all paths below tmp_path, and further overrides."""

    def composed(*overrides: str) -> RunConfig:
        config = deepcopy(_composed(overrides))
        for name in PATHS:
            if getattr(config.paths, name) == "nowhere":
                setattr(config.paths, name, str(tmp_path / name))
        return config

    return composed


@pytest.fixture
def toy_config(compose_toy: Callable[..., RunConfig]) -> RunConfig:
    """A whole configuration: 60 pairs of 32 x 32 pixels, 16 bits, M = 30, two epochs, three steps."""
    return compose_toy()


@pytest.fixture
def toy_experiment(compose_toy: Callable[..., RunConfig], toy_pairs: Pairs) -> Callable[..., Experiment]:
    """An experiment on the toy pairs: 10 of them queries, 40 train; further overrides."""

    def opened(*overrides: str) -> Experiment:
        config = compose_toy(*overrides)
        split = make_split(len(toy_pairs), 10, 40, seed=0)
        return Experiment(config, toy_pairs, split, ArtifactStore(Path(config.paths.store)))

    return opened
