"""A process of a run: how it keeps its memory, how its children start, and that they end with it."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext

# Parameters of mallopt, from malloc.h of the GNU C library.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 2**30  # bytes; a block beyond this comes from the kernel and goes back to it
_NEVER = 2**31 - 1
_OWN_CHOICE = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Let the GNU C library's allocator reuse large blocks instead of giving them back to the kernel.

    Each step of training or crafting frees its feature maps. By default every page of them is faulted in and cleared
    again, which can cost more than the arithmetic. The price is that the process keeps its peak of memory.

    Nothing happens where another C library is in use, or where the environment already decides: the variables
    `MALLOC_MMAP_THRESHOLD_`, `MALLOC_MMAP_MAX_` and `MALLOC_TRIM_THRESHOLD_`, or glibc.malloc in `GLIBC_TUNABLES`.

    Returns:
        Whether the allocator was set.
    """
    decided = any(name in os.environ for name in _OWN_CHOICE) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if sys.platform != "linux" or decided:
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return bool(library.mallopt(_MMAP_THRESHOLD, _LARGEST)) and bool(library.mallopt(_TRIM_THRESHOLD, _NEVER))


def spawning() -> SpawnContext:
    """The context for processes that start anew: forking one in which torch has started threads can hang.

    A worker of joblib hands down the name of its own way to start processes, which its children do not know.
    """
    if multiprocessing.get_start_method() not in multiprocessing.get_all_start_methods():
        multiprocessing.set_start_method("spawn", force=True)
    return multiprocessing.get_context("spawn")


def follow_parent() -> None:
    """Call first in a child: it ends when its parent is gone, and leaves Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # a child whose parent was killed would wait for it for ever
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
