"""The notebook runs from its first cell to its last, without Jupyter."""

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "attack_your_own_model.ipynb"


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)
    assert names["result"].measured.queries["spent_pairs"] == 30
    assert names["prepared"].door.spent_pairs == 20
    moved = float((names["changed"] - names["images"]).abs().max())
    assert 0 < moved <= 8 / 255 + 1e-6
