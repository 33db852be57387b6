"""The options of a group of conf/, for the help text."""

import textwrap
from importlib.resources import files
from pathlib import Path

_PACKAGE = Path(str(files("aach_lightning")))
_PACKAGED = _PACKAGE / "conf"  # in a wheel; a checkout and an editable installation have it beside the package
CONF = _PACKAGED if _PACKAGED.is_dir() else _PACKAGE.parent / "conf"
INDENT, WIDTH = 27, 90  # of the column of choices in conf/hydra/default.yaml


def choices(group: str) -> str:
    """Names of the options of a group, separated by commas, in lines of the help text; `${choices:group}` in conf/.

    Schemas are left out, which Hydra lists too and nobody chooses.

    Example:
        >>> choices("attack/step")
        'adam, sign'
    """
    names = ", ".join(sorted(file.stem for file in (CONF / group).glob("*.yaml")))
    return ("\n" + INDENT * " ").join(textwrap.wrap(names, WIDTH))
