"""Sentence embeddings, computed once into the cache; a damaged file is computed anew."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from aach_lightning.data.cache import progress_bar
from aach_lightning.data.encoder import EncodeTexts, find_model, load_encoder
from aach_lightning.errors import DataError
from aach_lightning.runtime.files import digest, disk_errors, write_atomically

log = logging.getLogger(__name__)

RECIPE = "unit-vectors-1"
"""Part of every cache key: change it when the way from texts to vectors changes."""
_BATCH = 64


def sentence_embeddings(sentences: Sequence[str], encoder: str, cache: Path) -> NDArray[np.float32]:
    """Encode texts as vectors of length 1, so that every entry lies in [-1, 1] whatever the encoder.

    An attack's delta on such a text lives in this space of embeddings: it says how far a vector must move to change
    the code, not which words to type, and the attacked vector is that of no sentence. Nor is its length 1. Of D entries
    a typical one is about 1 / sqrt(D) (0.05 for 384), so the same epsilon means far more here than for words.

    The vectors depend on the set of texts alone, not on their order or on repeats: different texts are encoded once,
    sorted. They lie in the cache under the hash of the texts, of the model's files and of the versions of the libraries
    that turn text into numbers. Processes that want the same ones wait for one.

    Args:
        sentences: N texts; what is longer than the model reads is cut off.
        encoder: "minilm" (MiniLM-L6, 384 entries, from the extra `sentence`), a folder with a text encoder, or its name
            on the Hugging Face Hub. A plain encoder such as BERT is averaged over its tokens. Of a CLIP it is the text
            tower, which stays frozen: an attack on texts lives in the space that both towers share.
        cache: Folder of all caches.

    Returns:
        float32 in [-1, 1], N x D; zero for blank texts.

    Raises:
        ConfigError: If the encoder cannot be found, or the extra is missing.
        DataError: If it is damaged or no text encoder, or every text is blank.
        StoreError: If the cache cannot be written.
    """
    texts = [_encodable(sentence) for sentence in sentences]
    different = sorted({text for text in texts if text}, key=lambda text: (-len(text), text))  # longest first
    if not different:
        raise DataError(f"data.encoder={encoder}: there is nothing to encode, every text is blank")
    model = find_model(encoder, cache)
    key = digest(RECIPE.encode(), model.identity.encode(), *(text.encode() for text in different))
    path = cache / "texts" / f"{key}.npz"
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(path.with_suffix(".lock"))):
        vectors = _read(path, len(different))
        if vectors is None:
            made = vectors = _encode(different, load_encoder(model), f"encoding texts, {encoder}")
            write_atomically(path, lambda file: np.savez(file, vectors=made))
    row_of = {text: row for row, text in enumerate(different)}
    known = [place for place, text in enumerate(texts) if text]
    embedded = np.zeros((len(texts), vectors.shape[1]), np.float32)
    embedded[known] = vectors[[row_of[texts[place]] for place in known]]
    return embedded


def _encodable(text: str) -> str:
    """The text without halves of characters, which no tokenizer reads; empty if it is blank."""
    return text.encode("utf-8", "replace").decode() if text.strip() else ""


def _encode(texts: Sequence[str], encode: EncodeTexts, description: str) -> NDArray[np.float32]:
    blocks = []
    with progress_bar(description, len(texts)) as advance:
        for start in range(0, len(texts), _BATCH):
            blocks.append(encode(texts[start : start + _BATCH]))
            advance(len(blocks[-1]))
    return np.concatenate(blocks)


def _read(path: Path, count: int) -> NDArray[np.float32] | None:
    """Vectors of a whole file, whose checksum the zip format keeps; None where they must be computed."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            vectors = content["vectors"]
        if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != count:
            raise ValueError(f"holds {vectors.dtype} {vectors.shape} for {count} texts")
    except Exception as error:  # numpy's and zipfile's parsers of a damaged file raise almost anything
        log.warning("the cached embeddings %s are damaged (%s): the texts are encoded anew", path, error)
        return None
    found: NDArray[np.float32] = vectors
    return found
