"""Sentences to text vectors, whichever data set they come from: a bag of words, or embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aach_lightning.data.embeddings import sentence_embeddings
from aach_lightning.data.vocabulary import bag_of_words, build_vocabulary, read_vocabulary


@dataclass(frozen=True)
class TextVectors:
    """N texts as vectors.

    Attributes:
        vectors: N x D: uint8 in {0, 1} for a bag of words, float32 in [-1, 1] for embeddings.
        words: D names of the entries.
        low: Smallest value an entry may take.
        high: Largest value an entry may take.
    """

    vectors: NDArray[np.generic]
    words: tuple[str, ...]
    low: float
    high: float


def text_vectors(
    sentences: Sequence[str], *, words: int, vocabulary: str | None, encoder: str | None, cache: str
) -> TextVectors:
    """Turn sentences into vectors. A text of which nothing is known (no word, or blank) is the zero vector.

    Args:
        sentences: N texts.
        words: Size of the vocabulary that is built from the texts where none is given.
        vocabulary: Text file with one word a line, or None.
        encoder: See `sentence_embeddings`; None for a bag of words.
        cache: Folder of all caches.

    Raises:
        ConfigError: If the encoder cannot be found.
        DataError: If the vocabulary or the encoder cannot be used.
    """
    if encoder is None:
        known = read_vocabulary(Path(vocabulary)) if vocabulary else build_vocabulary(sentences, words)
        return TextVectors(bag_of_words(sentences, known), known, 0.0, 1.0)
    vectors = sentence_embeddings(sentences, encoder, Path(cache))
    return TextVectors(vectors, unnamed(vectors.shape[1]), -1.0, 1.0)


def unnamed(width: int) -> tuple[str, ...]:
    """Names of entries that stand for no word.

    Example:
        >>> unnamed(3)
        ('#0', '#1', '#2')
    """
    return tuple(f"#{column}" for column in range(width))
