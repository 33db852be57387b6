from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split
from aach_lightning.errors import ConfigError
from aach_lightning.evaluation.noise import noise_edits
from aach_lightning.evaluation.words import changed_words, check_words, edits_texts, mean_changed_words, word_changes


def test_words_are_told_by_name(make_pairs: Callable[..., Pairs]) -> None:
    texts = np.array([[1, 0, 0, 2], [0, 0, 1, 0], [1, 1, 1, 1]], dtype=np.uint8)
    words = ("sea", "dog", "cat", "boat")
    pairs = replace(make_pairs(3, words=4, texts=texts), words=words, captions=("boats at sea", "cat!", "all"))
    deltas = torch.tensor([[[0.0, 1, 0, -2], [1, 1, -1, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]])
    found = word_changes(pairs, np.array([0, 1]), {"attack": deltas[0], "white_box": deltas[1]})
    nothing = {"added": [], "removed": []}
    assert found == [
        {
            "name": "pair-0",
            "caption": "boats at sea",
            "words": ["sea", "boat"],
            "attack": {"added": ["dog"], "removed": ["boat"]},
            "white_box": nothing,
        },
        {
            "name": "pair-1",
            "caption": "cat!",
            "words": ["cat"],
            "attack": {"added": ["sea", "dog"], "removed": ["cat"]},
            "white_box": nothing,
        },
    ]
    clean = torch.from_numpy(texts[:2]).float()
    assert changed_words(clean, clean + deltas[0]).tolist() == [2, 3]
    assert changed_words(clean, clean).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("texts", "low"),
    [
        (np.array([[0.5, 0.0]], np.float32), 0.0),
        (np.array([[1.0, 0.0]], np.float32), -1.0),
        (np.array([[-1, 0]], np.int8), 0.0),
    ],
)
def test_vectors_that_are_no_counts_are_refused_where_words_are_edited(
    make_pairs: Callable[..., Pairs], toy_experiment: Callable[..., Experiment], texts: object, low: float
) -> None:
    pairs = make_pairs(1, words=2, texts=texts, text_low=low)
    with pytest.raises(ConfigError, match=r"attack.text_form=edits.*data.encoder"):
        check_words(replace(toy_experiment("attack=aach_edits"), pairs=pairs))
    check_words(replace(toy_experiment(), pairs=pairs))


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64, np.int64])
def test_counts_of_any_type_are_taken(
    make_pairs: Callable[..., Pairs], toy_experiment: Callable[..., Experiment], kind: type
) -> None:
    pairs = make_pairs(2, words=2, texts=np.array([[0, 3], [1, 0]], kind), text_high=3.0)
    check_words(replace(toy_experiment("attack=aach_edits"), pairs=pairs))


def test_random_edits_are_as_many_as_configured(
    make_pairs: Callable[..., Pairs], make_experiment: Callable[..., Experiment]
) -> None:
    pairs, rows = make_pairs(20, words=12), np.array([4, 7, 1])
    split = Split(rows, np.arange(8, 20), np.arange(8, 20))
    overrides = ("attack=aach_edits", "attack.edits=2", "attack.edit_removes=false")
    drawn = noise_edits(make_experiment(pairs, split, *overrides, "seed=3"))
    assert drawn.sum(dim=1).tolist() == [2, 2, 2]
    assert float(drawn.min()) == 0
    assert mean_changed_words(pairs, rows, drawn) == 2.0
    assert mean_changed_words(pairs, rows, 0 * drawn) == 0.0
    assert not torch.equal(noise_edits(make_experiment(pairs, split, *overrides, "seed=4")), drawn)


def test_texts_are_edited_where_they_are_attacked(compose_toy: Callable[..., RunConfig]) -> None:
    assert edits_texts(compose_toy("attack=aach_edits").attack)
    assert not edits_texts(compose_toy("attack=aach_edits", "attack.modality=image").attack)
    assert not edits_texts(compose_toy().attack)
