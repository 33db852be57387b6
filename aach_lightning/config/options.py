"""Where the files of the configuration lie."""

from importlib.resources import files
from pathlib import Path

_PACKAGE = Path(str(files("aach_lightning")))
_PACKAGED = _PACKAGE / "conf"  # in a wheel; a checkout and an editable installation have it beside the package
CONF = _PACKAGED if _PACKAGED.is_dir() else _PACKAGE.parent / "conf"
