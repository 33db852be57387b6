"""What people write beside a picture: synonyms, ambiguous words, forgotten and wrong tags."""

from collections.abc import Collection

import numpy as np

from aach_lightning.scenes.concepts import BY_NAME, CONCEPTS, NOISE_WORDS, Concept

KEPT = 0.82
"""Probability that a visible concept is mentioned by a word of its own."""
RELATED = 0.5
"""Probability of an ambiguous word for a visible concept."""
WRONG = 0.16
"""Probability of a word for something that the picture does not show."""
NOISE_TAGS = 2.2
"""Mean number of meaningless tags."""


def write_tags(concepts: Collection[str], rng: np.random.Generator) -> tuple[str, ...]:
    """Tags of a picture, in random order, without repeats, never empty.

    Args:
        concepts: Names of what the picture shows.
        rng: Decides which words are used.
    """
    words: list[str] = []
    for name in sorted(concepts):
        concept = BY_NAME[name]
        if rng.random() < KEPT:
            words += _own_words(concept, rng)
        if rng.random() < RELATED:
            words.append(_one(concept.related, rng))
    if rng.random() < WRONG:
        words += _own_words(CONCEPTS[int(rng.integers(len(CONCEPTS)))], rng)[:1]
    words += [_one(NOISE_WORDS, rng) for _ in range(int(rng.poisson(NOISE_TAGS)))]
    distinct = list(dict.fromkeys(words)) or [_one(NOISE_WORDS, rng)]
    return tuple(distinct[i] for i in rng.permutation(len(distinct)))


def _own_words(concept: Concept, rng: np.random.Generator) -> list[str]:
    """The concept's name in half of the cases, else a synonym; at times a second word."""
    first = concept.name if rng.random() < 0.5 else _one(concept.synonyms, rng)
    return [first, _one(concept.synonyms, rng)] if rng.random() < 0.3 else [first]


def _one(words: tuple[str, ...], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]
