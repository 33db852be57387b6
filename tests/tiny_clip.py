"""A CLIP with random weights: small, but with everything that a real one has in its folder."""

import string
from pathlib import Path

START, END = "<|startoftext|>", "<|endoftext|>"
TOKENS = [*string.ascii_lowercase, *(f"{letter}</w>" for letter in string.ascii_lowercase), START, END]
NUMBER = {token: number for number, token in enumerate(TOKENS)}
SIDE, WIDTH, LONGEST = 32, 12, 16


def numbers(text: str) -> list[int]:
    """Token numbers of words of small letters, counted by hand: letters, the last of each word marked."""
    letters = [
        NUMBER[letter + ("</w>" if place == len(word) - 1 else "")]
        for word in text.split()
        for place, letter in enumerate(word)
    ]
    return [NUMBER[START], *letters[: LONGEST - 2], NUMBER[END]]


def write_clip(folder: Path, seed: int = 0) -> Path:
    """Write config, weights and tokenizer as `save_pretrained` does."""
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    layer = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        **layer,
        "vocab_size": len(TOKENS),
        "max_position_embeddings": LONGEST,
        "bos_token_id": NUMBER[START],
        "eos_token_id": NUMBER[END],
        "pad_token_id": NUMBER[END],
        "projection_dim": WIDTH,
    }
    vision = {**layer, "image_size": SIDE, "patch_size": 8, "projection_dim": WIDTH}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=WIDTH))
        with torch.no_grad():
            for parameter in model.parameters():  # larger than at a start, so that other inputs give other vectors
                parameter.mul_(8.0 if parameter.ndim > 1 else 1.0)
    model.save_pretrained(folder)
    CLIPTokenizer(vocab=NUMBER, merges=[], model_max_length=LONGEST).save_pretrained(folder)
    return folder
