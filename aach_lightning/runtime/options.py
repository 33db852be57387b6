"""The options of a group of conf/, for the help text."""

from pathlib import Path

CONF = Path(__file__).parents[2] / "conf"


def choices(group: str) -> str:
    """Names of the options of a group, separated by commas; `${choices:group}` in conf/.

    Schemas are left out, which Hydra lists too and nobody chooses.

    Example:
        >>> choices("attack/step")
        'adam, sign'
    """
    return ", ".join(sorted(file.stem for file in (CONF / group).glob("*.yaml")))
