"""The files of a checkpoint: which there are, how large they may be, what is in them, and what names them."""

import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from aach_lightning.config.method import CheckpointConfig
from aach_lightning.errors import CheckpointError
from aach_lightning.runtime.checkpoints import load_torch_file
from aach_lightning.runtime.files import digest_file
from aach_lightning.zoo.checkpoints.weights import Weights

KEPT = {"image": "image.checkpoint", "text": "text.checkpoint", "weights": "weights.checkpoint"}


@dataclass(frozen=True)
class CheckpointFiles:
    """Where the parts of a checkpoint lie.

    Attributes:
        image: The image network, or both networks.
        text: The text network; None where one file holds both.
        weights: Of the backbone, where a checkpoint goes without; else None.
        largest: Bytes that a file, and what it unpacks to, may have.
    """

    image: Path
    text: Path | None
    weights: Path | None
    largest: int

    def listed(self) -> dict[str, Path]:
        """By what they are."""
        found = {"image": self.image, "text": self.text, "weights": self.weights}
        return {name: path for name, path in found.items() if path is not None}

    def text_path(self) -> Path:
        """Where the text network is.

        Raises:
            CheckpointError: If that is not said.
        """
        if self.text is None:
            raise CheckpointError("target.method.text_file=null: this format has its text network in a file of its own")
        return self.text

    def weights_path(self) -> Path:
        """Where the backbone or the average image is.

        Raises:
            CheckpointError: If that is not said, or the file is missing or too large.
        """
        if self.weights is None:
            raise CheckpointError(
                "target.method.weights_file=null: this format reads features of CNN-F, which its file does not hold; "
                "give the path of imagenet-vgg-f.mat"
            )
        check_size("weights", self.weights, self.largest)
        return self.weights

    def digests(self) -> dict[str, str]:
        """Hash of the content of each.

        Raises:
            CheckpointError: If one is missing or too large.
        """
        return {name: _digest(name, path, self.largest) for name, path in self.listed().items()}

    def copy(self, folder: Path, digests: Mapping[str, str]) -> None:
        """Copy them to where `kept_files` finds them.

        Raises:
            CheckpointError: If one is no longer what its digest says.
        """
        for name, path in self.listed().items():
            copied = folder / KEPT[name]
            shutil.copyfile(path, copied)
            if digest_file(copied) != digests[name]:
                raise CheckpointError(f"target.method.{name}_file={path} changed while it was read: run it again")


def given_files(method: CheckpointConfig) -> CheckpointFiles:
    """Those that a configuration names."""
    text, weights = method.text_file, method.weights_file
    return CheckpointFiles(
        Path(method.image_file),
        None if text is None else Path(text),
        None if weights is None else Path(weights),
        method.largest_mib * 2**20,
    )


def kept_files(method: CheckpointConfig, folder: Path) -> CheckpointFiles:
    """The copies of them that an artifact holds."""
    paths = {name: folder / kept if (folder / kept).exists() else None for name, kept in KEPT.items()}
    return CheckpointFiles(folder / KEPT["image"], paths["text"], paths["weights"], method.largest_mib * 2**20)


def check_size(name: str, path: Path, largest: int) -> None:
    """Refuse what is missing or too large, packed or not.

    Raises:
        CheckpointError: Naming the key.
    """
    key = f"target.method.{name}_file={path}"
    if not path.is_file():
        raise CheckpointError(f"{key}: there is no such file")
    size = path.stat().st_size
    if zipfile.is_zipfile(path):  # a file of torch is a ZIP archive, which may unpack to far more than it has
        try:
            with zipfile.ZipFile(path) as archive:
                size = max(size, sum(entry.file_size for entry in archive.infolist()))
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise CheckpointError(f"{key} is damaged: {error}") from error
    if size > largest:
        raise CheckpointError(
            f"{key} has {size / 2**20:,.1f} MiB, allowed are {largest // 2**20:,}: is it a checkpoint? If so, raise "
            "target.method.largest_mib"
        )


def read_torch(name: str, path: Path, largest: int) -> Any:
    """What a torch file holds, without running code in it.

    Raises:
        CheckpointError: If it is missing, too large, damaged, or holds anything but tensors and plain values.
    """
    check_size(name, path, largest)
    return load_torch_file(path)


def read_weights(name: str, path: Path, largest: int) -> Weights:
    """The tensors of a file that holds one state dict.

    Raises:
        CheckpointError: As `read_torch`, and if it holds something else.
    """
    return as_weights(read_torch(name, path, largest), path)


def as_weights(content: Any, path: Path, part: str = "") -> Weights:
    """A state dict that was read, with its tensors only.

    Raises:
        CheckpointError: If it is none.
    """
    if isinstance(content, dict) and content and all(isinstance(value, Tensor) for value in content.values()):
        return Weights({str(key): value for key, value in content.items()}, path, part)
    kind = f"a dict with {sorted(map(str, content))[:8]}" if isinstance(content, dict) else type(content).__name__
    where = f"{path}, {part.rstrip('.')}," if part else f"{path}"
    raise CheckpointError(f"{where} must hold a state dict (names to tensors), it holds {kind}")


def _digest(name: str, path: Path, largest: int) -> str:
    check_size(name, path, largest)
    stat = path.stat()
    return _digest_of(path.absolute(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest_of(path: Path, size: int, changed: int) -> str:
    return digest_file(path)
