"""Weights in and out: safetensors between runs, torch files without running code. The only file with torch.load."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from aach_lightning.errors import CheckpointError
from aach_lightning.runtime.files import write_atomically


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write named tensors as one safetensors file, atomically."""
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    write_atomically(path, lambda file: file.write(data))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        CheckpointError: If the file is missing, truncated or not safetensors.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"cannot read {path} as safetensors: {error}") from error


def is_readable(path: Path) -> bool:
    """Whether a safetensors file is there and whole."""
    try:
        load_tensors(path)
    except CheckpointError:
        return False
    return True


class AtomicCheckpoints(TorchCheckpointIO):
    """Lightning's checkpoints, written beside their final place.

    Lightning itself moves them from the folder for temporary files. Where that is another disk, moving is copying, and
    leaves half a file when the process is killed or the disk is full.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint, whole or not at all.

        Raises:
            StoreError: If the disk is full or cannot be written.
        """
        write_atomically(Path(path), lambda file: torch.save(checkpoint, file))


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a safetensors file of weights into `module`, every name and shape matching.

    Raises:
        CheckpointError: If the file is unreadable or was made for another network.
    """
    try:
        module.load_state_dict(load_tensors(path), strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit the configured network: {error}") from error


def load_state_dict_file(path: Path) -> dict[str, Tensor]:
    """Read a torch file that holds a flat dict of tensors, without running any code in it (`weights_only`).

    Raises:
        CheckpointError: If the file is missing, truncated, holds pickled objects, or is no dict of tensors.
    """
    content = load_torch_file(path)
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise CheckpointError(f"{path} holds {type(content).__name__}, not a dict of tensors (a state_dict)")
    return {str(name): tensor for name, tensor in content.items()}


def load_lightning_checkpoint(path: Path) -> dict[str, Any]:
    """Read a Lightning checkpoint without running any code in it (`weights_only`).

    Raises:
        CheckpointError: If the file is missing, truncated, or holds pickled objects.
    """
    content = load_torch_file(path)
    if not isinstance(content, dict) or "state_dict" not in content:
        raise CheckpointError(f"{path} is not a Lightning checkpoint: it has no 'state_dict'")
    return content


def load_torch_file(path: Path) -> Any:
    """Read a torch file of tensors and plain values in any nesting, without running any code in it (`weights_only`).

    Raises:
        CheckpointError: If the file is missing, truncated, or holds pickled objects.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no file {path}") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is damaged or holds pickled objects, which can run code when loaded. Where you trust it and have "
            "its code, save the tensors alone:\n"
            f"  module = torch.load({str(path)!r}, weights_only=False, map_location='cpu')\n"
            f"  torch.save(module.state_dict(), {str(path.with_suffix('.state.pth'))!r})\n"
            f"({_first_line(error)})"
        ) from error
    except Exception as error:  # the unpickler of a damaged file raises almost anything
        raise CheckpointError(f"cannot read {path}: {type(error).__name__}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
