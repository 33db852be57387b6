"""What a file or folder of data is, and how the configuration names it."""

import re
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from pathlib import Path

from aach_lightning.config.choices import OnDamaged
from aach_lightning.config.data import DATA, DataConfig
from aach_lightning.errors import ConfigError

_PACKS = (".mat", ".h5", ".hdf5", ".npy", ".txt")
_PLAIN = re.compile(r"[\w./-]+")


@dataclass(frozen=True)
class Kind:
    """One form in which data are found.

    Attributes:
        option: Value of `data=`.
        title: For people.
        key: The key that takes the path.
        recognise: Whether a path is of this kind, from names alone.
    """

    option: str
    title: str
    key: str
    recognise: Callable[[Path], bool]

    def configure(self, path: str, size: int, damaged: OnDamaged) -> DataConfig:
        """The configuration of its reader, with the values of the choice `option`."""
        chosen = DATA[self.option]
        configured: DataConfig = chosen() if isinstance(chosen, type) else copy(chosen)
        for key, value in ((self.key, path), ("image_size", size), ("on_damaged", damaged)):
            setattr(configured, key, value)
        return configured


def _has(*places: str) -> Callable[[Path], bool]:
    return lambda path: any((path / place).exists() for place in places)


def _is_pack(path: Path) -> bool:
    files = path.iterdir() if path.is_dir() else (path,)
    return any(file.suffix.lower() in _PACKS and file.is_file() for file in files)


KINDS: tuple[Kind, ...] = (
    Kind("pairs", "a folder with pairs.csv", "root", _has("pairs.csv")),
    Kind("mirflickr25k", "MIRFlickr-25K as distributed", "root", _has("mirflickr/meta", "meta/tags")),
    Kind(
        "nuswide_tc21",
        "NUS-WIDE as distributed (data=nuswide_tc10 reads it too)",
        "root",
        _has("ImageList/Imagelist.txt", "Imagelist.txt"),
    ),
    Kind("mscoco", "MS-COCO 2014 as distributed", "root", _has("annotations/instances_train2014.json")),
    Kind("container", "a pack of .mat, .h5 or .npy files", "path", _is_pack),
)
"""The first that recognises a path is taken."""


def recognise(path: Path) -> Kind:
    """Find the kind of a path.

    Raises:
        ConfigError: If it does not exist or is of no kind.
    """
    if not path.exists():
        raise ConfigError(f"{path} does not exist")
    for kind in KINDS:
        if kind.recognise(path):
            return kind
    known = "\n  ".join(f"{kind.title} (data={kind.option})" for kind in KINDS)
    raise ConfigError(f"{path} is none of the forms that are known:\n  {known}")


def data_line(kind: Kind, path: Path, image_size: int, damaged: bool) -> str:
    """The overrides that make train.py and attack.py read these data.

    Example:
        >>> print(data_line(KINDS[0], Path("my photos"), 224, damaged=False))
        data=pairs "data.root='my photos'"
    """
    text = str(path)
    if _PLAIN.fullmatch(text):
        place = f"data.{kind.key}={text}"
    else:  # quoted once for Hydra, once for the shell
        inner = re.sub(r"(\\*)'", r"\1\1\'", text)
        place = '"' + re.sub(r'([\\"$`])', r"\\\1", f"data.{kind.key}='{inner}'") + '"'
    size = "" if image_size == 224 else f" data.image_size={image_size}"
    return f"data={kind.option} {place}{size}" + (" data.on_damaged=skip" if damaged else "")
