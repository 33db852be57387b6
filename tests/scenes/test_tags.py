from collections.abc import Collection

import numpy as np
import pytest

from aach_lightning.scenes.concepts import BY_NAME, NOISE_WORDS, VOCABULARY
from aach_lightning.scenes.tags import write_tags


def texts(concepts: Collection[str], count: int) -> list[tuple[str, ...]]:
    rng = np.random.default_rng(5)
    return [write_tags(concepts, rng) for _ in range(count)]


def test_texts_are_distinct_words_of_the_vocabulary_and_never_empty() -> None:
    for words in texts({"water", "boat"}, 300) + texts((), 300):
        assert len(words) >= 1
        assert len(set(words)) == len(words)
        assert set(words) <= set(VOCABULARY)


@pytest.mark.parametrize("name", ["cat", "sky", "bicycle"])
def test_a_visible_concept_is_named_in_82_of_100_texts(name: str) -> None:
    own = {name, *BY_NAME[name].synonyms}
    named = np.mean([bool(own & set(words)) for words in texts({name}, 4000)])
    # Named on purpose (0.82), or by a wrong tag (0.16) that happens to hit one concept of 24.
    assert named == pytest.approx(1 - (1 - 0.82) * (1 - 0.16 / 24), abs=0.025)


def test_an_absent_concept_is_named_in_less_than_one_text_of_a_hundred() -> None:
    own = {"dog", *BY_NAME["dog"].synonyms}
    named = np.mean([bool(own & set(words)) for words in texts({"water"}, 4000)])
    assert 0.002 < named < 0.013


def test_synonyms_are_used_as_often_as_the_name() -> None:
    with_name = sum("boat" in words for words in texts({"boat"}, 4000))
    with_synonym = sum(bool(set(BY_NAME["boat"].synonyms) & set(words)) for words in texts({"boat"}, 4000))
    # Name: 0.82 x 0.5. A synonym: 0.82 x (0.5 + 0.5 x 0.3).
    assert with_name / 4000 == pytest.approx(0.41, abs=0.03)
    assert with_synonym / 4000 == pytest.approx(0.533, abs=0.03)


def test_noise_words_follow_a_poisson_law() -> None:
    counts = [len(set(words) & set(NOISE_WORDS)) for words in texts({"tree"}, 4000)]
    assert np.mean(counts) == pytest.approx(2.2, abs=0.1)
    assert counts.count(0) / 4000 == pytest.approx(np.exp(-2.2), abs=0.02)
