"""Black-box attacks on image-text hashing retrieval, and what they cost: AACH (ICCV 2021) and its measurement."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aach_lightning.api import Prepared, Result, Surrogate, attack, load_pairs, prepare

__version__ = "0.1.0"
__all__ = ["Prepared", "Result", "Surrogate", "attack", "load_pairs", "prepare"]


def __getattr__(name: str) -> Any:
    """What scripts call is imported when it is used: a part of this package alone needs none of the rest."""
    if name in __all__:
        return getattr(import_module("aach_lightning.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """For completion at a prompt."""
    return [*globals(), *__all__]
