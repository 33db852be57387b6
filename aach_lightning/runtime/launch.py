"""Starting the processes of a run: its own on one machine, or those that torchrun, submitit or srun has started."""

import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cache
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from torch.distributed import PrefixStore, Store, TCPStore, rendezvous  # type: ignore[attr-defined]

from aach_lightning.config.schema import RunConfig, TrainerConfig
from aach_lightning.errors import AachError, ConfigError, is_reported
from aach_lightning.runtime import ranks
from aach_lightning.runtime.failures import keep_failure
from aach_lightning.runtime.files import digest_json
from aach_lightning.runtime.processes import follow_parent, keep_freed_memory, spawning

Main = Callable[[RunConfig], None]

MEETING_TIME = timedelta(minutes=10)  # processes of a cluster job start at different moments
_FAILED = 2
_meetings = count()


@dataclass(frozen=True)
class _Launcher:
    """Environment variables in which a launcher tells its processes their numbers; all processes share the `job`."""

    rank: str
    local_rank: str
    size: str
    job: str
    machines: str = ""


_TORCHRUN = _Launcher("RANK", ranks.LOCAL_RANK, "WORLD_SIZE", "TORCHELASTIC_RUN_ID")
_LAUNCHERS = (
    _TORCHRUN,  # before SLURM: `srun torchrun` is one task a machine, and torchrun starts one process a device there
    _Launcher("SUBMITIT_LOCAL_GLOBALID", "SUBMITIT_LOCAL_LOCALID", "SUBMITIT_LOCAL_NTASKS", "SUBMITIT_LOCAL_JOB_ID"),
    # those of a step, which srun sets: a batch script that does not use srun is one process, whatever was allocated
    _Launcher("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS", "SLURM_JOB_ID", "SLURM_STEP_NODELIST"),
)


def processes(config: TrainerConfig) -> int:
    """How many processes a run has."""
    return config.devices * config.num_nodes


def run_in_processes(config: RunConfig, main: Main) -> None:
    """Call `main` in as many processes as the configuration asks for, and wait for all of them.

    On one machine the others are started here, by `spawn`; they write nothing of their own, and end with this process.
    Where torchrun, submitit or srun has started one process a device, each calls this and they find each other.

    Raises:
        ConfigError: If a launcher started another number of processes, or their configurations differ.
        AachError: If another process ended with an error; that error has been printed.
    """
    keep_freed_memory()
    launcher = _launched()
    if launcher is not None:
        _run_launched(config, main, launcher)
    elif processes(config.trainer) == 1:
        main(config)
    elif config.trainer.num_nodes > 1:
        raise ConfigError(
            f"trainer.num_nodes={config.trainer.num_nodes}: processes on several machines must be started by "
            f"torchrun, hydra/launcher=slurm or srun, one a device; on one machine it must be 1"
        )
    else:
        _run_own(config, main)


def is_first_launched() -> bool:
    """Whether this process will be the first one of its run, before the processes have found each other."""
    launcher = _launched()
    return launcher is None or os.environ[launcher.rank] == "0"


def _launched() -> _Launcher | None:
    given = os.environ
    return next(
        (it for it in _LAUNCHERS if int(given.get(it.size, "1")) > 1 and {it.rank, it.job} <= given.keys()), None
    )


@cache
def _torchrun_store() -> Store:
    """The store that torchrun keeps at MASTER_ADDR and MASTER_PORT for its processes."""
    store: Store = next(rendezvous("env://", timeout=MEETING_TIME))[0]
    return store


def agree_with_torchrun(name: str, value: str) -> str:
    """What rank zero of the processes of torchrun has for `value`; `value` where torchrun started one or none."""
    if _launched() is not _TORCHRUN:
        return value
    if os.environ[_TORCHRUN.rank] == "0":
        _torchrun_store().set(name, value)
    return _torchrun_store().get(name).decode()


def _run_launched(config: RunConfig, main: Main, launcher: _Launcher) -> None:
    trainer, size, rank = config.trainer, int(os.environ[launcher.size]), int(os.environ[launcher.rank])
    if size != processes(trainer):
        raise ConfigError(
            f"trainer.devices={trainer.devices}, trainer.num_nodes={trainer.num_nodes}: the launcher has started "
            f"{size} processes ({launcher.size}), it must be devices x num_nodes={processes(trainer)}"
        )
    os.environ[ranks.LOCAL_RANK] = os.environ[launcher.local_rank]
    if rank:
        _be_quiet()
    with _joined(config, rank, size, _meet(launcher, rank, size, trainer.num_nodes)):
        main(config)


def _meet(launcher: _Launcher, rank: int, size: int, machines: int) -> Store:
    meeting = next(_meetings)  # the jobs of a sweep meet one after the other
    if launcher is _TORCHRUN:
        restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return PrefixStore(f"{restart}.{meeting}", _torchrun_store())
    address = "127.0.0.1"
    if machines > 1:
        first = SLURMEnvironment.resolve_root_node_address(os.environ.get(launcher.machines, ""))
        address = os.environ.get("MASTER_ADDR", first)
    # neighbouring jobs, steps of one job, and the jobs of a sweep: each has a port of its own
    meeting += int(os.environ.get("SLURM_STEP_ID", "0"))
    port = 15000 + (int(os.environ[launcher.job]) + 1009 * meeting) % 10000
    return TCPStore(address, port, size, is_master=rank == 0, timeout=MEETING_TIME)


def _run_own(config: RunConfig, main: Main) -> None:
    size = processes(config.trainer)
    store = TCPStore("127.0.0.1", 0, size, is_master=True, wait_for_workers=False, timeout=MEETING_TIME)
    context = spawning()
    others = [context.Process(target=_other, args=(config, main, rank, store.port)) for rank in range(1, size)]
    os.environ[ranks.LOCAL_RANK] = "0"
    try:
        for process in others:
            process.start()
        with _joined(config, 0, size, store):
            main(config)
        for process in others:
            process.join()
        _explain(others)
    except Exception as error:
        if not isinstance(error, AachError):
            _explain(others, error)
        raise
    finally:
        for process in others:
            process.terminate()
            process.join()
        del os.environ[ranks.LOCAL_RANK]


def _explain(others: Sequence[BaseProcess], error: Exception | None = None) -> None:
    """If another process failed, say so: here one only sees that a connection was closed."""
    if error is not None:
        for process in others:
            process.join(5)
    failed = [number for number, process in enumerate(others, 1) if process.exitcode not in (None, 0)]
    if failed:
        raise AachError(
            f"process {failed[0]} of {len(others) + 1} ended with exit status {others[failed[0] - 1].exitcode}; what "
            f"it said stands above. Finished work is kept: run the same command again to continue."
        ) from error


def _other(config: RunConfig, main: Main, rank: int, port: int) -> None:
    """A process that was started here."""
    follow_parent()
    keep_freed_memory()
    _be_quiet()
    os.environ[ranks.LOCAL_RANK] = str(rank)
    try:
        store = TCPStore("127.0.0.1", port, is_master=False, timeout=MEETING_TIME)
        with _joined(config, rank, processes(config.trainer), store):
            main(config)
    except AachError as error:
        if not is_reported(error):
            sys.stderr.write(f"process {rank}: {type(error).__name__}: {error}\n")
        sys.exit(_FAILED)
    except Exception:
        sys.stderr.write(f"process {rank}:\n{traceback.format_exc()}")
        sys.exit(1)


def _be_quiet() -> None:
    """The first process alone reports."""
    logging.disable(logging.WARNING)


@contextmanager
def _joined(config: RunConfig, rank: int, size: int, store: Store) -> Iterator[None]:
    cuda = config.trainer.accelerator in ("gpu", "cuda") and torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ[ranks.LOCAL_RANK]) % torch.cuda.device_count())
    ranks.join("cpu:gloo,cuda:nccl" if cuda else "gloo", rank, size, store)
    try:
        _compare(config)
        yield
    except Exception as error:
        keep_failure(Path(config.paths.output), error)  # before the others see a closed connection
        raise
    finally:
        ranks.leave()


def _compare(config: RunConfig) -> None:
    """A process with another configuration would train other weights in the same group without an error.

    Raises:
        ConfigError: On every process, if two of them differ.
    """
    found = ranks.everyones(_flat(asdict(config)))
    if len({digest_json(values) for values in found}) == 1:
        return
    rank, other = next((rank, values) for rank, values in enumerate(found) if values != found[0])
    keys = sorted(key for key in found[0].keys() | other.keys() if found[0].get(key) != other.get(key))
    raise ranks.reported_by_first(
        ConfigError(
            f"the processes of this run have different configurations: {keys[0]} is {found[0].get(keys[0])!r} in "
            f"process 0 and {other.get(keys[0])!r} in process {rank}"
        )
    )


def _flat(value: Any, before: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {before: value}
    flat: dict[str, Any] = {}
    for key, child in value.items():
        flat |= _flat(child, f"{before}.{key}" if before else str(key))
    return flat
