"""What a file or folder of data is, and how the configuration names it."""

import re
from copy import copy
from dataclasses import dataclass
from pathlib import Path

from aach_lightning.config.choices import OnDamaged
from aach_lightning.config.data import DATA, DataConfig
from aach_lightning.data.load import list_datasets
from aach_lightning.errors import ConfigError

_PLAIN = re.compile(r"[\w./-]+")


@dataclass(frozen=True)
class Kind:
    """One form in which data are found.

    Attributes:
        option: Value of `data=`.
        marks: Files or folders that show it, as patterns.
    """

    option: str
    marks: tuple[str, ...]

    @property
    def title(self) -> str:
        """For people."""
        return list_datasets()[self.option].rstrip(".")

    @property
    def key(self) -> str:
        """The key that takes the path."""
        return "root" if hasattr(self.configure("", 0, OnDamaged.error), "root") else "path"

    def is_of(self, path: Path) -> bool:
        """Whether a path is of this kind, from names alone."""
        files = [file for file in path.iterdir() if file.is_file()] if path.is_dir() else [path]
        names = [Path(file.name.lower()) for file in files]
        return any(
            any(name.match(mark) for name in names) if mark.startswith("*") else (path / mark).exists()
            for mark in self.marks
        )

    def configure(self, path: str, size: int, damaged: OnDamaged) -> DataConfig:
        """The configuration of its reader, with the values of the choice `option`."""
        chosen = DATA[self.option]
        configured: DataConfig = chosen() if isinstance(chosen, type) else copy(chosen)
        for key, value in (("root", path), ("path", path), ("image_size", size), ("on_damaged", damaged)):
            if hasattr(configured, key):
                setattr(configured, key, value)
        return configured


# of choices with the same marks (the labels of NUS-WIDE) the last; files of any name last
_BY_MARKS = {chosen.marks: option for option, chosen in DATA.items() if chosen.marks}
KINDS = tuple(Kind(option, marks) for marks, option in sorted(_BY_MARKS.items(), key=lambda item: "*" in item[0][0]))
"""The first that recognises a path is taken."""


def recognise(path: Path) -> Kind:
    """Find the kind of a path.

    Raises:
        ConfigError: If it does not exist or is of no kind.
    """
    if not path.exists():
        raise ConfigError(f"{path} does not exist")
    for kind in KINDS:
        if kind.is_of(path):
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
