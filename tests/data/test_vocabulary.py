from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aach_lightning.data.vocabulary import bag_of_words, build_vocabulary, read_vocabulary, tokenize
from aach_lightning.errors import DataError

ANY_TEXT = st.text(st.characters(), max_size=40)  # surrogates and control characters too
SHORT = st.text("ab '_-.Éß1", max_size=25)


def naive_words(text: str) -> list[str]:
    """Runs of letters and digits; one apostrophe joins two runs; words of more than 64 characters do not count."""
    words, word, text = [], "", text.casefold()
    for position, letter in enumerate(text):
        following = text[position + 1 : position + 2]
        joins = letter == "'" and word != "" and "'" not in word and following.isalnum()
        if letter.isalnum() or joins:
            word += letter
        else:
            words.append(word)
            word = ""
    return [word for word in [*words, word] if 0 < len(word) <= 64]


@given(ANY_TEXT | SHORT)
def test_tokens_against_a_loop_over_characters(text: str) -> None:
    assert tokenize(text) == naive_words(text)


@given(st.lists(ANY_TEXT | SHORT, max_size=6), st.integers(0, 8))
def test_vocabulary_against_counting(texts: list[str], size: int) -> None:
    counts: dict[str, int] = {}
    for text in texts:
        for word in set(naive_words(text)):
            counts[word] = counts.get(word, 0) + 1
    expected = sorted(sorted(counts), key=lambda word: counts[word], reverse=True)[:size]
    assert list(build_vocabulary(texts, size)) == expected


@given(st.lists(ANY_TEXT | SHORT, max_size=6), st.lists(st.text("abÉ1", min_size=1, max_size=2), unique=True))
def test_bag_of_words_against_a_double_loop(texts: list[str], words: list[str]) -> None:
    found = bag_of_words(texts, words)
    assert (found.shape, found.dtype) == ((len(texts), len(words)), np.uint8)
    for row, text in enumerate(texts):
        for column, word in enumerate(words):
            assert found[row, column] == (word in naive_words(text))


def test_examples_by_hand() -> None:
    texts = ["A dog, a DOG!", "Straße & strasse", "cat_dog", "", "x" * 65 + " y"]
    words = build_vocabulary(texts, 9)
    assert words == ("dog", "a", "cat", "strasse", "y")
    assert bag_of_words(texts, words).tolist() == [
        [1, 1, 0, 0, 0],
        [0, 0, 0, 1, 0],
        [1, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1],
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"dog\ncat\n", ("dog", "cat")),
        (b"\xef\xbb\xbfdog\r\n\r\n  cat  ", ("dog", "cat")),
        ("grün\nñu".encode(), ("grün", "ñu")),
    ],
)
def test_read_vocabulary(tmp_path: Path, content: bytes, expected: tuple[str, ...]) -> None:
    (tmp_path / "words").write_bytes(content)
    assert read_vocabulary(tmp_path / "words") == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"dog\ncat\ndog\n", "'dog'"),
        (b"dog\nCat\n", "'Cat'"),
        (b"dog\nnew york\n", "'new york'"),
        ("größe\n".encode(), "grösse"),
        (b"\xff\xfe\x00", "cannot read"),
        (None, "cannot"),
    ],
)
def test_unusable_vocabulary_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "words"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        read_vocabulary(path)
    assert f"data.vocabulary={path}" in str(caught.value)
