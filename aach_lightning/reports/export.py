"""Tables as files: CSV that a spreadsheet can open without running anything, and Parquet."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from aach_lightning.runtime.files import write_atomically

FORMULA = ("=", "+", "-", "@", "\t", "\n")


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write UTF-8 with a header; missing values are empty cells, numbers have all their digits.

    Spreadsheets take text that begins with one of `FORMULA` for a formula and may run commands from it: such text gets
    an apostrophe in front. Numbers stay as they are.
    """
    safe = frame.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name].dtype):
            safe[name] = safe[name].map(_defused, na_action="ignore")
    text = safe.to_csv(index=False, lineterminator="\n")
    write_atomically(path, lambda file: file.write(text.encode()))


def _defused(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")  # pandas leaves a carriage return unquoted: a new line
    return f"'{text}" if text.startswith(FORMULA) else text


def write_parquet(frame: pd.DataFrame, path: Path) -> bool:
    """Write Parquet; False, and nothing is written, where pyarrow is not installed."""
    buffer = BytesIO()
    try:
        frame.to_parquet(buffer, engine="pyarrow", index=False)
    except ImportError:
        return False
    write_atomically(path, lambda file: file.write(buffer.getvalue()))
    return True
