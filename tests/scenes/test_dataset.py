import itertools
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest

from aach_lightning.scenes import NOTE, VERSION, Scenes

DIGESTS = """
from hashlib import sha256
from aach_lightning.scenes import Scenes

scenes = Scenes(40, seed=9)
for index in (12, 3):
    text = repr((scenes.tags(index), scenes.labels(index).tolist()))
    print(sha256(scenes.draw(index).tobytes() + text.encode()).hexdigest())
"""


def test_shapes_and_types() -> None:
    scenes = Scenes(40, seed=0)
    picture, labels = scenes.draw(0), scenes.labels(0)
    assert (picture.shape, picture.dtype) == ((40, 40, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((24,), np.uint8)
    assert len(scenes.label_names) == 24
    assert isinstance(VERSION, int)
    assert "not a benchmark" in NOTE


def test_a_pair_depends_on_seed_and_index_only() -> None:
    one, other = Scenes(40, seed=9), Scenes(40, seed=9)
    forward = [one.draw(index) for index in range(6)]
    backward = [other.draw(index) for index in reversed(range(6))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert [one.tags(index) for index in range(6)] == [other.tags(index) for index in range(6)]
    assert len({picture.tobytes() for picture in forward}) == 6
    assert not np.array_equal(Scenes(40, seed=10).draw(0), forward[0])


def test_another_process_draws_the_same_bits() -> None:
    scenes = Scenes(40, seed=9)
    here = []
    for index in (12, 3):
        text = repr((scenes.tags(index), scenes.labels(index).tolist()))
        here.append(sha256(scenes.draw(index).tobytes() + text.encode()).hexdigest())
    there = subprocess.run([sys.executable, "-c", DIGESTS], check=True, capture_output=True, text=True)
    assert there.stdout.split() == here


def test_labels_and_texts_are_the_same_at_every_size() -> None:
    small, large = Scenes(24, seed=2), Scenes(96, seed=2)
    for index in range(40):
        assert np.array_equal(small.labels(index), large.labels(index))
        assert small.tags(index) == large.tags(index)


def test_the_picture_is_the_same_at_every_size() -> None:
    small, large = Scenes(48, seed=2), Scenes(96, seed=2)
    likeness = []
    for index in range(24):
        fine = large.draw(index).astype(float).reshape(24, 4, 24, 4, 3).mean(axis=(1, 3))
        coarse = small.draw(index).astype(float).reshape(24, 2, 24, 2, 3).mean(axis=(1, 3))
        likeness.append(np.corrcoef(fine.ravel(), coarse.ravel())[0, 1])
    assert np.median(likeness) > 0.97
    assert min(likeness) > 0.85


def test_one_to_four_labels_agree_with_the_layout() -> None:
    scenes = Scenes(24, seed=6)
    for index in range(200):
        named = {name for name, on in zip(scenes.label_names, scenes.labels(index), strict=True) if on}
        assert named == scenes.layout(index).concepts
        assert 1 <= len(named) <= 4


@pytest.mark.parametrize("seed", [0, 1])
def test_two_random_pairs_share_a_label_in_30_to_42_percent(seed: int) -> None:
    scenes = Scenes(24, seed)
    named = [frozenset(np.flatnonzero(scenes.labels(index)).tolist()) for index in range(900)]
    shared = [bool(a & b) for a, b in itertools.combinations(named, 2)]
    assert 0.30 < sum(shared) / len(shared) < 0.42


def test_texts_use_the_vocabulary_and_follow_the_labels() -> None:
    scenes = Scenes(24, seed=0)
    boat = scenes.label_names.index("boat")
    with_boat, without = [], []
    for index in range(800):
        (with_boat if scenes.labels(index)[boat] else without).append("boat" in scenes.tags(index))
    assert np.mean(with_boat) > 0.25
    assert np.mean(without) < 0.02


@pytest.mark.parametrize(("size", "seed", "value"), [(8, 0, "8"), (32, -1, "-1")])
def test_bad_arguments_are_named(size: int, seed: int, value: str) -> None:
    with pytest.raises(ValueError, match=value):
        Scenes(size, seed)


def test_a_negative_index_is_refused() -> None:
    with pytest.raises(ValueError, match="-3"):
        Scenes(32, 0).labels(-3)
