"""The options of a group of conf/, for the help text."""

import textwrap
from pathlib import Path

CONF = Path(__file__).parents[2] / "conf"
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
