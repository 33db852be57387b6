"""A sentence encoder of random weights, small enough for every test."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

WORDS = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "dog",
    "cat",
    "run",
    "##s",
    "sleep",
    "on",
    "the",
    "red",
    "mat",
)

WriteEncoder = Callable[..., Path]


@pytest.fixture(scope="session")
def write_encoder() -> WriteEncoder:
    """Writes a folder with a random BERT of two layers, 24 wide, and a tokenizer of 15 words."""
    pytest.importorskip("sentence_transformers", reason="needs the extra `sentence`")
    import torch
    from safetensors.torch import save_file
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel

    def write(folder: Path, seed: int = 0) -> Path:
        folder.mkdir(parents=True)
        shape = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        config = BertConfig(vocab_size=len(WORDS), max_position_embeddings=16, architectures=["BertModel"], **shape)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # larger weights than those of a start, so that other words give clearly other vectors
            weights = {name: 5 * tensor for name, tensor in BertModel(config).state_dict().items()}
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        (folder / "config.json").write_text(json.dumps(config.to_dict()))
        BertWordPieceTokenizer({word: number for number, word in enumerate(WORDS)}).save(str(folder / "tokenizer.json"))
        settings = {"tokenizer_class": "BertTokenizerFast", "do_lower_case": True, "model_max_length": 16}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        return folder

    return write


@pytest.fixture(scope="session")
def tiny_encoder(write_encoder: WriteEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "tiny")
