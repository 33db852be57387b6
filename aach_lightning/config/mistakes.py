"""A list of mistakes in a configuration, each with its key, the value received and the values allowed."""

from math import inf
from typing import Any


class Mistakes(list[str]):
    """Collects what is wrong with the values of a configuration.

    Args:
        config: Dataclasses; values are looked up by keys such as `target.image_lr`.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self._config = config

    def need(self, holds: bool, key: str, value: object, allowed: str) -> None:
        """Note a mistake unless a rule holds."""
        if not holds:
            self.append(f"{key}={value}: {allowed}")

    def positive(self, *keys: str) -> None:
        """Values in (0, inf)."""
        for key, value in self._values(keys):
            self.need(0 < value < inf, key, value, "must be greater than 0 and finite")

    def not_negative(self, *keys: str) -> None:
        """Values in [0, inf)."""
        for key, value in self._values(keys):
            self.need(0 <= value < inf, key, value, "must be at least 0 and finite")

    def share(self, *keys: str) -> None:
        """Values in (0, 1]."""
        for key, value in self._values(keys):
            self.need(0 < value <= 1, key, value, "must lie in (0, 1]")

    def share_or_zero(self, *keys: str) -> None:
        """Values in [0, 1]."""
        for key, value in self._values(keys):
            self.need(0 <= value <= 1, key, value, "must lie in [0, 1]")

    def below_one(self, *keys: str) -> None:
        """Values in [0, 1)."""
        for key, value in self._values(keys):
            self.need(0 <= value < 1, key, value, "must lie in [0, 1)")

    def _values(self, keys: tuple[str, ...]) -> list[tuple[str, Any]]:
        found = []
        for key in keys:
            value = self._config
            for part in key.split("."):
                value = value[part] if isinstance(value, dict) else getattr(value, part)
            found.append((key, value))
        return found
