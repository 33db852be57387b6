from collections import Counter

from aach_lightning.scenes.concepts import BY_NAME, CONCEPTS, LABEL_NAMES, NOISE_WORDS, VOCABULARY
from aach_lightning.scenes.painter import THINGS


def test_there_are_24_concepts_half_of_them_things() -> None:
    assert len(LABEL_NAMES) == len(set(LABEL_NAMES)) == 24
    assert set(BY_NAME) == set(LABEL_NAMES)
    assert len(THINGS) == 12
    assert set(THINGS) < set(LABEL_NAMES)


def test_a_word_of_its_own_belongs_to_one_concept_only() -> None:
    owners = Counter(word for concept in CONCEPTS for word in (concept.name, *concept.synonyms))
    assert [word for word, count in owners.items() if count > 1] == []
    ambiguous = {word for concept in CONCEPTS for word in concept.related} | set(NOISE_WORDS)
    assert ambiguous & set(owners) == set()


def test_the_vocabulary_is_sorted_and_a_few_hundred_words_long() -> None:
    assert list(VOCABULARY) == sorted(set(VOCABULARY))
    assert 250 <= len(VOCABULARY) <= 500
    assert all(word.isalpha() and word.islower() for word in VOCABULARY)
