"""From Hydra's DictConfig to a checked RunConfig, and from errors to an exit status."""

import logging
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from typing import cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from rich.console import Console

from aach_lightning import __version__
from aach_lightning.runtime.allocator import keep_freed_memory
from aach_lightning.runtime.errors import AachError, ConfigError
from aach_lightning.runtime.instantiate import check_targets
from aach_lightning.runtime.schemas import RunConfig
from aach_lightning.runtime.validate import validate

STAMP = "AACH_STAMP"
FAILED, INTERRUPTED = 2, 130

log = logging.getLogger(__name__)


def stamp_run() -> None:
    """Fix the name of this run's folder in the environment, so that processes started later write into the same one."""
    os.environ.setdefault(STAMP, f"{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S}_{os.getpid()}")


def checked_config(config: DictConfig) -> RunConfig:
    """Resolve, type and validate a configuration.

    Raises:
        ConfigError: If a mandatory value is missing, an interpolation leads nowhere, values contradict each other, or a
            `_target_` is not allowed.
    """
    try:
        typed = cast(RunConfig, OmegaConf.to_object(config))
    except MissingMandatoryValue as error:
        raise ConfigError(f"a value is missing: {error}") from error
    except OmegaConfBaseException as error:
        raise ConfigError(f"a value cannot be resolved: {error}") from error
    validate(typed)
    check_targets(asdict(typed))  # now, not after hours of training the stages before
    return typed


def run(config: DictConfig, main: Callable[[RunConfig], None]) -> None:
    """Run `main`; errors that a person can act on end the program with their message instead of a traceback."""
    console = Console(stderr=True)
    keep_freed_memory()
    try:
        with _interruptible():
            main(checked_config(config))
    except AachError as error:
        console.print(f"[bold red]error:[/] {type(error).__name__}", highlight=False)
        console.print(str(error), highlight=False, markup=False, soft_wrap=True)
        log.debug("traceback", exc_info=True)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        console.print("[bold yellow]interrupted.[/] Finished work is kept: run the same command again to continue.")
        sys.exit(INTERRUPTED)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Lightning answers Ctrl-C in the middle of training with exit status 1: give it back as what it was."""
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise


def versions() -> dict[str, str]:
    """Versions of what decides a result."""
    libraries = ("torch", "pytorch-lightning", "torchmetrics", "numpy", "pillow")
    return {
        "aach_lightning": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in libraries},
        "machine": f"{platform.system()} {platform.machine()}",
    }
