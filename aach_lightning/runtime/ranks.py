"""The processes that share one run: who is first, what all must know, and which part of the work is whose.

With one process everything here is a plain call: the rest of the code has one path for one process and for many.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed
from torch.distributed import Store  # type: ignore[attr-defined]

from aach_lightning.errors import mark_reported, sendable

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

PATIENCE = timedelta(days=7)  # one process may wait that long for a stage that another job is building

LOCAL_RANK = "LOCAL_RANK"  # the environment variable that torch and Lightning know

_control: list[distributed.ProcessGroup] = []  # messages between processes, apart from the gradients of training


def join(backend: str, rank: int, size: int, store: Store) -> None:
    """Become process `rank` of `size`; every one of them must call this.

    Args:
        backend: "gloo", or "cpu:gloo,cuda:nccl".
        rank: Number of this process, 0 to size - 1.
        size: Number of processes.
        store: Where they find each other.
    """
    distributed.init_process_group(backend, rank=rank, world_size=size, store=store)
    group = distributed.new_group(backend="gloo", timeout=PATIENCE)
    _control.append(group)


def reported_by_first(error: E) -> E:
    """Mark an error that every process raises, so that only the first one tells it to the user."""
    if not is_first():
        mark_reported(error)
    return error


def leave() -> None:
    """Be alone again."""
    _control.clear()
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def size() -> int:
    """Number of processes in this run."""
    return distributed.get_world_size() if _control else 1


def rank() -> int:
    """Number of this process, 0 to `size() - 1`."""
    return distributed.get_rank() if _control else 0


def local_rank() -> int:
    """Number of this process on its machine, which is that of its device."""
    return int(os.environ.get(LOCAL_RANK, "0")) if _control else 0


def is_first() -> bool:
    """Whether this process is the one that writes files, sends queries and talks to people."""
    return rank() == 0


def barrier() -> None:
    """Wait until every process is here."""
    if _control:
        distributed.barrier(_control[0])


def everyones(value: T) -> list[T]:
    """What each process has for `value`, by rank; the same list on all of them."""
    if not _control:
        return [value]
    values: list[Any] = [None] * size()
    distributed.all_gather_object(values, value, _control[0])
    return values


def on_first(function: Callable[[], T]) -> T:
    """Call `function` on the first process alone; every process gets its value, or its exception."""
    if not _control:
        return function()
    value: T = _unwrapped(_told(_outcome(function) if is_first() else None))
    return value


def first_then_others(function: Callable[[], T]) -> T:
    """Call `function` on the first process and, once that went well, on the others; each gets its own value.

    For what fills a cache: the first does the work, the others find it. An exception on the first reaches all.
    """
    if not _control:
        return function()
    if is_first():
        value, error = _outcome(function)
        _told((None, error))
        own: T = _unwrapped((value, error))
        return own
    _unwrapped(_told(None))
    return function()


def own_share(count: int) -> slice:
    """The part of `count` items that this process works on: neighbours, all shares together are everything.

    Fewer items than processes are not shared: each process works on all of them.
    """
    if count < size():
        return slice(0, count)
    return slice(count * rank() // size(), count * (rank() + 1) // size())


def gather_shares(own: Tensor, count: int) -> Tensor:
    """Put the shares of all processes together, with their gradients.

    Every process then computes the same loss from the same `count` rows, and its gradient reaches the rows of each
    process there: multiplied by the number of processes, since DDP divides by it when it averages over them.

    Args:
        own: This process's `own_share(count)` of the rows, n x ...
        count: Number of rows of all processes together.

    Returns:
        count x ..., the same on every process.
    """
    if count < size() or size() == 1:
        return own
    gathered: Tensor = _GatherShares.apply(own, count)  # type: ignore[no-untyped-call]
    return gathered


class _GatherShares(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, count: int) -> Tensor:
        ctx.rows = own_share(count)
        return torch.cat(gather_rows(own, [count * (r + 1) // size() - count * r // size() for r in range(size())]))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0][ctx.rows] * size(), None


def gather_rows(own: Tensor, counts: list[int]) -> list[Tensor]:
    """What every process has, by rank, without gradients.

    Args:
        own: counts[rank] x ..., of the same dtype, device type and trailing shape on every process.
        counts: Number of rows of each process.
    """
    if size() == 1:
        return [own]
    padded = own.new_zeros((max(counts), *own.shape[1:]))
    padded[: len(own)] = own
    parts = [torch.empty_like(padded) for _ in counts]
    distributed.all_gather(parts, padded, _control[0] if padded.device.type == "cpu" else None)
    return [part[:number] for part, number in zip(parts, counts, strict=True)]


_Outcome = tuple[Any, BaseException | None]


def _outcome(function: Callable[[], Any]) -> _Outcome:
    try:
        return function(), None
    except Exception as error:
        return None, error


def _told(outcome: _Outcome | None) -> _Outcome:
    """Send the first process's outcome to all."""
    message: list[Any] = [outcome]
    if outcome is not None and outcome[1] is not None:
        message = [(None, sendable(outcome[1]))]
    distributed.broadcast_object_list(message, 0, _control[0])
    if outcome is not None:
        return outcome  # the error itself, with its traceback
    value, error = message[0]
    return value, error and reported_by_first(error)


def _unwrapped(outcome: _Outcome) -> Any:
    value, error = outcome
    if error is not None:
        raise error
    return value
