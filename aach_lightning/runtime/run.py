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
from pathlib import Path
from typing import cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from rich.console import Console

from aach_lightning import __version__
from aach_lightning.config.options import CONF
from aach_lightning.config.overrides import checked_overrides, rename_targets
from aach_lightning.config.schema import RunConfig, register_schemas
from aach_lightning.config.validate import validate
from aach_lightning.errors import AachError, ConfigError, is_reported, sendable
from aach_lightning.runtime.failures import forget_failure, keep_failure
from aach_lightning.runtime.instantiate import check_targets

STAMP = "AACH_STAMP"
FAILED, INTERRUPTED = 2, 130

log = logging.getLogger(__name__)


def stamp_run() -> None:
    """Fix the name of this run's folder in the environment, so that processes started later write into the same one.

    The processes of one srun step share the numbers of their job and step, which a requeued job keeps; those of
    torchrun take the name that rank zero gives.
    """
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        numbers = [os.environ[name] for name in ("SLURM_JOB_ID", "SLURM_STEP_ID") if name in os.environ]
        os.environ.setdefault(STAMP, f"slurm-{'.'.join(numbers)}")
    if STAMP not in os.environ:
        stamp = f"{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S}_{os.getpid()}"
        if "TORCHELASTIC_RUN_ID" in os.environ:
            from aach_lightning.runtime.launch import agree_with_torchrun  # here: --help needs no torch

            stamp = agree_with_torchrun(STAMP, stamp)
        os.environ[STAMP] = stamp


def start(name: str, task: Callable[[DictConfig], None], register: Callable[[], None] = register_schemas) -> None:
    """Start a command: read its command line, compose its configuration, and call `task` with it.

    Args:
        name: Of the command's file in conf/.
        task: Defined in a module that can be imported, since launchers send it to other processes.
        register: Makes the schemas known to Hydra.
    """
    stamp_run()  # before Hydra names the run's folder
    register()
    try:
        sys.argv[1:] = checked_overrides(sys.argv[1:])
    except ConfigError as error:
        _show_error(error)
        sys.exit(FAILED)
    hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(task)()


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
    rename_targets(typed)
    validate(typed)
    check_targets(asdict(typed))  # now, not after hours of training the stages before
    return typed


def run(config: DictConfig, main: Callable[[RunConfig], None]) -> None:
    """Run `main`; errors that a person can act on end the program with their message instead of a traceback."""
    # here: --help needs no torch
    from aach_lightning.runtime.interrupts import remembered_interrupts
    from aach_lightning.runtime.launch import is_first_launched, run_in_processes

    try:
        with _interruptible(), remembered_interrupts(), _failures_kept(is_first_launched()):
            run_in_processes(checked_config(config), main)
    except AachError as error:
        if not is_reported(error):
            _show_error(error)
        log.debug("traceback", exc_info=True)
        if _in_sweep():
            raise  # Hydra goes on with the other jobs, and ends with this error
        sys.exit(FAILED)
    except Exception as error:
        if _in_sweep():
            raise sendable(error) from error  # jobs may run in processes that send it to Hydra
        raise
    except KeyboardInterrupt:
        Console(stderr=True).print(
            "[bold yellow]interrupted.[/] Finished work is kept: run the same command again to continue."
        )
        sys.exit(INTERRUPTED)


def _show_error(error: AachError) -> None:
    console = Console(stderr=True)
    console.print(f"[bold red]error:[/] {type(error).__name__}", highlight=False)
    console.print(str(error), highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _failures_kept(first: bool) -> Iterator[None]:
    if not HydraConfig.initialized():
        yield
        return
    folder = Path(HydraConfig.get().runtime.output_dir)
    if first:
        forget_failure(folder)
    try:
        yield
    except Exception as error:
        keep_failure(folder, error)
        raise


def _in_sweep() -> bool:
    return HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN


def sweep_name() -> str | None:
    """Name of the multirun that this job belongs to, or None."""
    return Path(HydraConfig.get().sweep.dir).name if _in_sweep() else None


def sweep_overrides() -> list[str]:
    """What a job of a multirun was told on the command line; nothing outside of one."""
    return list(HydraConfig.get().overrides.task) if _in_sweep() else []


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
