"""CLIP (Radford et al., ICML 2021) from a folder, and texts to vectors by it. The only file that uses transformers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from aach_lightning.errors import CheckpointError


def load_clip(folder: Path) -> Any:
    """Load a `transformers.CLIPModel` with what its folder holds, in single precision and eval mode.

    Attention is computed plainly: the faster kernels have no deterministic gradient on GPUs.

    Args:
        folder: Has a config.json of model type "clip" and safetensors weights.

    Raises:
        CheckpointError: If weights are missing, or of another size: the rest would be random.
    """
    from transformers import CLIPModel

    with silence(), torch.random.fork_rng(devices=[]):
        model, found = CLIPModel.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            attn_implementation="eager",
            output_loading_info=True,
        )
    absent = sorted(found["missing_keys"]) + sorted(str(key) for key in found["mismatched_keys"])
    if absent:
        raise CheckpointError(f"the weights in {folder} are not those of a whole CLIP: {', '.join(absent[:5])} missing")
    return model.eval()


def clip_texts(folder: Path) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """The frozen text tower: N texts to float32 N x D vectors of length 1, the projected state of the end token.

    Texts longer than the tower reads (77 tokens) are cut off. It runs on the GPU where there is one.

    Raises:
        CheckpointError: As `load_clip`.
    """
    from transformers import AutoTokenizer

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_clip(folder).to(device)
    with silence():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    longest = model.config.text_config.max_position_embeddings

    @torch.no_grad()
    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        tokens = tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt")
        pooled = model.get_text_features(
            input_ids=tokens["input_ids"].to(device), attention_mask=tokens["attention_mask"].to(device)
        ).pooler_output
        vectors: NDArray[np.float32] = F.normalize(pooled).cpu().numpy()
        return vectors

    return encode


@contextmanager
def silence() -> Iterator[None]:
    """No progress bars of the libraries, and no table of the weights that a checkpoint has beyond the encoder's."""
    from transformers.utils import logging as settings

    bars, verbosity = settings.is_progress_bar_enabled(), settings.get_verbosity()
    settings.disable_progress_bar()
    settings.set_verbosity_error()
    try:
        yield
    finally:
        settings.set_verbosity(verbosity)
        if bars:
            settings.enable_progress_bar()
