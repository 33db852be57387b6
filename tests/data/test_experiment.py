from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import PairBatch, Pairs
from aach_lightning.errors import ConfigError

IMAGES, TEXTS = torch.rand(2, 3, 4, 4), torch.rand(2, 5)


class Both:
    """Says of each call which half it was for."""

    image_codes, text_codes = "codes of images", "codes of texts"

    def hash_images(self, images: Tensor) -> str:
        return "hashed images"

    def hash_texts(self, texts: Tensor) -> str:
        return "hashed texts"

    def query_images(self, images: Tensor) -> str:
        return "asked images"

    def query_texts(self, texts: Tensor) -> str:
        return "asked texts"


@pytest.mark.parametrize(
    ("modality", "other", "direction", "bounds", "half"),
    [
        (Modality.image, Modality.text, "I2T", (0.0, 1.0), IMAGES),
        (Modality.text, Modality.image, "T2I", (-20.0, 20.0), TEXTS),
    ],
)
def test_a_modality_knows_its_half_of_everything(
    toy_pairs: Pairs,
    modality: Modality,
    other: Modality,
    direction: str,
    bounds: tuple[float, float],
    half: torch.Tensor,
) -> None:
    both, zeros = Both(), torch.zeros(2)
    assert (modality.other, modality.direction) == (other, direction)
    assert modality.bounds(replace(toy_pairs, text_low=-20.0, text_high=20.0)) == bounds
    assert modality.of(PairBatch(zeros, IMAGES, TEXTS, zeros)) is half
    said = (modality.hashed_by(both)(half), modality.codes(both), modality.asked_of(both)(half))  # type: ignore[arg-type]
    assert said == (f"hashed {modality}s", f"codes of {modality}s", f"asked {modality}s")


@pytest.mark.parametrize("chosen", ["image", "text", "both"])
def test_the_attacked_modalities(toy_experiment: Callable[..., Experiment], chosen: str) -> None:
    wanted = ["image", "text"] if chosen == "both" else [chosen]
    assert list(toy_experiment(f"attack.modality={chosen}").modalities) == wanted


def test_an_experiment_has_data_split_store_and_the_time_that_they_took(compose_toy: Callable[..., RunConfig]) -> None:
    config = compose_toy()
    here = Experiment.load(config)
    assert (len(here.pairs), len(here.split.query), len(here.split.train)) == (60, 10, 40)
    assert here.attacked.tolist() == here.split.query[:6].tolist()
    assert here.everything.tolist() == list(range(60))
    assert (here.store.root.name, list(here.watch.stages)) == ("store", ["data"])
    assert here.fingerprints == {"data": here.pairs.fingerprint, "split": here.split.fingerprint}
    assert (here.numerics, here.device.type) == ({}, "cpu")


def test_parts_too_small_for_an_attack_are_refused_but_not_for_a_look_at_the_target(
    compose_toy: Callable[..., RunConfig],
) -> None:
    config = compose_toy()
    config = replace(config, budget=replace(config.budget, pairs=41))
    with pytest.raises(ConfigError, match=r"budget\.pairs=41"):
        Experiment.load(config)
    assert len(Experiment.load(config, target_only=True).split.train) == 40


def test_other_blocks_leave_the_experiment_as_it_was(toy_experiment: Callable[..., Experiment]) -> None:
    here = toy_experiment()
    other = here.with_blocks(budget=replace(here.config.budget, pairs=7))
    assert (len(here.queried), len(other.queried)) == (30, 7)
    assert here.queried[:7].tolist() == other.queried.tolist()
    assert (other.pairs, other.split, other.store, other.watch) == (here.pairs, here.split, here.store, here.watch)
