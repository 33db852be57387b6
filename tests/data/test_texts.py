from pathlib import Path

import numpy as np
import pytest

from aach_lightning.data.embeddings import sentence_embeddings
from aach_lightning.data.texts import text_vectors, unnamed
from aach_lightning.errors import ConfigError, DataError

TEXTS = ["A dog runs.", "", "a cat and a dog"]


def test_bag_of_words(tmp_path: Path) -> None:
    found = text_vectors(TEXTS, words=2, vocabulary=None, encoder=None, cache=str(tmp_path))
    assert (found.words, found.low, found.high) == (("a", "dog"), 0.0, 1.0)
    assert found.vectors.tolist() == [[1, 1], [0, 0], [1, 1]]
    (tmp_path / "words").write_text("cat\nsea\n")
    own = text_vectors(TEXTS, words=2, vocabulary=str(tmp_path / "words"), encoder=None, cache=str(tmp_path))
    assert (own.words, own.vectors.tolist()) == (("cat", "sea"), [[0, 0], [0, 0], [1, 0]])


def test_embeddings(tiny_encoder: Path, tmp_path: Path) -> None:
    found = text_vectors(TEXTS, words=2, vocabulary=None, encoder=str(tiny_encoder), cache=str(tmp_path))
    assert (found.words, found.low, found.high) == (unnamed(24), -1.0, 1.0)
    np.testing.assert_array_equal(found.vectors, sentence_embeddings(TEXTS, str(tiny_encoder), tmp_path))
    assert found.vectors.any(axis=1).tolist() == [True, False, True]


def test_errors_name_the_key(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.vocabulary="):
        text_vectors(TEXTS, words=2, vocabulary=str(tmp_path), encoder=None, cache=str(tmp_path))
    with pytest.raises(ConfigError, match=r"data\.encoder=/no/such"):
        text_vectors(TEXTS, words=2, vocabulary=None, encoder="/no/such", cache=str(tmp_path))
