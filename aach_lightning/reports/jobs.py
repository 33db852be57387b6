"""Jobs of Hydra that left no result: failed, unfinished, or never started."""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from aach_lightning.runtime.failures import ERROR
from aach_lightning.runtime.files import digest_json

JOB, SWEEP = ".hydra", "multirun.yaml"
NEVER_STARTED = "never started"
_WITHOUT_RESULT = "train"  # configuration of train.py
_IDLE = ("paths", "logger", "trainer", "stage")  # two jobs that differ only in these have one result
_TAIL = 4096  # bytes


@dataclass(frozen=True)
class MissingJob:
    """A job without a result.

    Attributes:
        folder: Of the job, or of the sweep where the job has none.
        overrides: What the job changes in the configuration; in a sweep, what differs between its jobs.
        reason: Last line of error.txt, "unfinished" or `NEVER_STARTED`.
    """

    folder: Path
    overrides: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        """The job in a line."""
        return f"{self.folder}  {' '.join(self.overrides)}  {self.reason}"


def missing_jobs(
    jobs: Mapping[Path, bool], sweeps: Sequence[Path], results: Sequence[tuple[Path, dict[str, Any]]]
) -> Iterator[MissingJob]:
    """Jobs whose configuration has no result anywhere in the collection.

    Args:
        jobs: Folders with a folder `JOB`, and whether they hold a result.
        sweeps: Folders with a file `SWEEP`.
        results: File and configuration of each run that was found.
    """
    done = {_lasting(config) for _, config in results}
    plans = {sweep.resolve(): _planned(sweep) for sweep in sweeps}
    shared = {sweep: _shared(planned) for sweep, planned in plans.items()}
    started: dict[Path, list[Path]] = {sweep: [] for sweep in plans}
    for folder, has_result in jobs.items():
        sweep = next((parent for parent in folder.resolve().parents if parent in plans), None)
        if sweep is not None:
            started[sweep].append(folder)
        if not has_result and _gives_results(folder) and _configured(folder) not in done:
            known = shared[sweep] if sweep is not None else set()
            yield MissingJob(folder, tuple(o for o in overrides_of(folder) if o not in known), _reason(folder))
    for folder in sweeps:
        sweep = folder.resolve()
        if len(started[sweep]) < len(plans[sweep]):
            ran = {overrides_of(job) for job in started[sweep]}
            ran |= {overrides_of(file.parent) for file, _ in results}  # the same sweep, started again elsewhere
            for overrides in plans[sweep]:
                if overrides not in ran:
                    own = tuple(override for override in overrides if override not in shared[sweep])
                    yield MissingJob(folder, own, NEVER_STARTED)


def _shared(planned: Sequence[tuple[str, ...]]) -> set[str]:
    """Overrides of all jobs of a sweep; of a single job none, for its overrides say what it is."""
    return set.intersection(*map(set, planned)) if len(planned) > 1 else set()


def _gives_results(folder: Path) -> bool:
    """False for train.py, which writes none."""
    return bool(OmegaConf.select(_mapping(folder / JOB / "hydra.yaml"), "hydra.job.config_name") != _WITHOUT_RESULT)


def _configured(folder: Path) -> str | None:
    """Hash of the configuration of a job, equal to that of its result; None where it cannot be told."""
    config = _mapping(folder / JOB / "config.yaml")
    config.pop("paths", None)  # known to Hydra alone
    try:
        return _lasting(OmegaConf.to_container(config, resolve=True))
    except (OmegaConfBaseException, TypeError, ValueError):
        return None


def _lasting(config: Any) -> str:
    return digest_json({key: value for key, value in config.items() if key not in _IDLE})


def overrides_of(folder: Path) -> tuple[str, ...]:
    """What a job changes in the configuration; nothing where Hydra has left no word of it."""
    overrides = _read(folder / JOB / "overrides.yaml")
    return tuple(str(override) for override in overrides) if isinstance(overrides, ListConfig) else ()


def _reason(folder: Path) -> str:
    try:
        with (folder / ERROR).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return "unfinished"
    return next((line.strip() for line in reversed(lines) if line.strip()), f"failed, but {ERROR} is empty")


def _planned(sweep: Path) -> list[tuple[str, ...]]:
    """Overrides of every job of a sweep; none for other sweepers than Hydra's own, which choose jobs as they go."""
    config = _mapping(sweep / SWEEP)
    own = str(OmegaConf.select(config, "hydra.sweeper._target_")).endswith(".BasicSweeper")
    if not own or OmegaConf.select(config, "hydra.job.config_name") == _WITHOUT_RESULT:
        return []
    choices: dict[str, list[str]] = {}
    try:
        params = OmegaConf.select(config, "hydra.sweeper.params") or {}
        texts = [f"{key}={value}" for key, value in params.items()]
        texts += [str(text) for text in OmegaConf.select(config, "hydra.overrides.task") or []]
        for override in OverridesParser.create().parse_overrides(texts):
            key = override.get_key_element()
            several = override.is_sweep_override()
            values = override.sweep_string_iterator() if several else [override.get_value_element_as_str()]
            choices[key] = [f"{key}={value}" for value in values]
    except (HydraException, OmegaConfBaseException, AttributeError, TypeError):
        return []  # damaged, or a glob(...), which asks for a folder of configuration files
    return list(itertools.product(*choices.values()))


def _mapping(file: Path) -> DictConfig:
    config = _read(file)
    return config if isinstance(config, DictConfig) else OmegaConf.create()


def _read(file: Path) -> DictConfig | ListConfig:
    """A YAML file, empty where it cannot be read: these files only explain what is missing."""
    try:
        return OmegaConf.load(file)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException):
        return OmegaConf.create()
