import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("transformers", reason="needs the extra `clip`")

from safetensors.torch import load_file, save_file

from aach_lightning.config.encoders import encoder_mistake
from aach_lightning.data import encoder as encoder_module
from aach_lightning.data.embeddings import sentence_embeddings
from aach_lightning.data.encoder import find_model, load_encoder
from aach_lightning.errors import DataError
from tests.tiny_clip import LONGEST, WIDTH, numbers, write_clip

TEXTS = ["a dog", "Two  CATS on a mat", "sea", "a very long text that goes on and on"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "tiny")


def published(folder: Path, texts: list[str]) -> np.ndarray:
    """The library's own text tower, one text at a time, of tokens counted by hand: no padding."""
    from transformers import CLIPTextModelWithProjection

    tower = CLIPTextModelWithProjection.from_pretrained(folder, local_files_only=True).eval()
    with torch.no_grad():
        found = [tower(input_ids=torch.tensor([numbers(text.lower())])).text_embeds for text in texts]
    return F.normalize(torch.cat(found)).numpy()


def test_texts_are_what_the_tower_makes_of_their_tokens(folder: Path, tmp_path: Path) -> None:
    assert len(numbers(TEXTS[3])) == LONGEST
    vectors = load_encoder(find_model(str(folder), tmp_path))(TEXTS)
    assert (vectors.shape, vectors.dtype) == ((4, WIDTH), np.float32)
    np.testing.assert_allclose(vectors, published(folder, TEXTS), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.abs(vectors[0] - vectors[2]).max() > 0.05


def test_embeddings_are_kept_and_other_weights_give_others(folder: Path, tmp_path: Path) -> None:
    first = sentence_embeddings([*TEXTS, " "], str(folder), tmp_path)
    np.testing.assert_allclose(first[:4], published(folder, TEXTS), atol=1e-5)
    assert not first[4].any()
    other = write_clip(tmp_path / "other", seed=1)
    assert np.abs(sentence_embeddings(TEXTS, str(other), tmp_path) - first[:4]).max() > 0.05
    assert len(list((tmp_path / "texts").glob("*.npz"))) == 2


def test_the_extra_for_sentences_is_not_needed(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    present = {"transformers"}
    monkeypatch.setattr("aach_lightning.config.encoders.find_spec", lambda name: name in present or None)
    real = encoder_module.version

    def version(name: str) -> str:
        if name == "sentence-transformers":
            raise ModuleNotFoundError(name)
        return real(name)

    monkeypatch.setattr(encoder_module, "version", version)
    assert encoder_mistake(str(folder)) is None
    assert find_model(str(folder), tmp_path).folder == folder
    present.clear()
    assert encoder_mistake(str(folder)) == "needs the package transformers: pip install 'aach-lightning[clip]'"


def test_weights_that_are_not_whole_are_refused(folder: Path, tmp_path: Path) -> None:
    half = shutil.copytree(folder, tmp_path / "half")
    weights = load_file(half / "model.safetensors")
    whole = {name: tensor for name, tensor in weights.items() if "text_projection" not in name}
    save_file(whole, half / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"(?s)cannot be used as a text encoder.*text_projection\.weight missing"):
        load_encoder(find_model(str(half), tmp_path / "cache"))
