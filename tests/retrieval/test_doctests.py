import doctest
import importlib
import pkgutil

import pytest

import aach_lightning.retrieval

MODULES = [info.name for info in pkgutil.iter_modules(aach_lightning.retrieval.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_give_what_they_say(name: str) -> None:
    if name == "histogram_triton":
        pytest.importorskip("triton", reason="triton comes with torch for CUDA only")
    module = importlib.import_module(f"aach_lightning.retrieval.{name}")
    assert doctest.testmod(module).failed == 0
