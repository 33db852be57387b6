"""Seconds and peak memory of each stage."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


def peak_memory_mib() -> float:
    """Highest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


@dataclass
class Stopwatch:
    """Collects `{stage: {"seconds": ..., "peak_memory_mib": ...}}` and further numbers in the order of use.

    The peak is that of the whole process up to the end of the stage: operating systems keep no peak by section.
    """

    stages: dict[str, dict[str, float]] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, float]]:
        """Time the body of a `with` statement; a name used twice adds up. What it puts into the dict is kept too."""
        numbers: dict[str, float] = {}
        start = time.perf_counter()
        try:
            yield numbers
        finally:
            seconds = self.stages.get(name, {}).get("seconds", 0.0) + time.perf_counter() - start
            memory = {"seconds": round(seconds, 3), "peak_memory_mib": round(peak_memory_mib(), 1)}
            self.stages[name] = memory | numbers
