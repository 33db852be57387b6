"""Folders of models as on the Hugging Face Hub: here, or downloaded once. The only file with huggingface_hub."""

from pathlib import Path
from typing import Any

from aach_lightning.errors import ConfigError

SUFFIXES = (".json", ".txt", ".model", ".safetensors")  # no code, no pickle


def model_folder(name: str, key: str) -> Path:
    """Find the folder of a model, downloading one that is named and not here yet; nothing is loaded.

    Args:
        name: A folder, or a name on the Hugging Face Hub.
        key: The configuration's key that names it, for errors.

    Raises:
        ConfigError: If there is none.
    """
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import tqdm

    class LateBar(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            # a look for a newer version takes no time and needs no bar, a download of a gigabyte does
            super().__init__(*arguments, **{**options, "delay": 2, "leave": False})

    wanted = [f"*{suffix}" for suffix in SUFFIXES]
    try:
        # offline, or where HF_HUB_OFFLINE is set, this is the folder of an earlier download
        return Path(snapshot_download(name, allow_patterns=wanted, tqdm_class=LateBar))
    except Exception as error:  # the client raises almost anything, of its own and of its HTTP library
        raise ConfigError(
            f"{key}={name}: neither a folder here nor a model that can be had from the Hugging Face Hub "
            f"({one_line(error)}). On a machine without network, copy its folder here and name that."
        ) from error


def one_line(error: Exception) -> str:
    """An error of a library in one line of at most 400 characters."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:400]
