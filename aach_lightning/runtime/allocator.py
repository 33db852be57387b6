"""Freed memory stays with the process: else the kernel of a CPU-only machine clears it anew in every step."""

import ctypes
import os
import sys

# Parameters of mallopt, from malloc.h of the GNU C library.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 2**30  # bytes; a block beyond this comes from the kernel and goes back to it
_NEVER = 2**31 - 1
_OWN_CHOICE = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Let the GNU C library's allocator reuse large blocks instead of giving them back to the kernel.

    Each step of training or crafting frees its feature maps. By default such blocks are mapped and unmapped one by one,
    and every page of them is faulted in and cleared again: that can cost more than the arithmetic. The price is that
    the process keeps its peak of memory until it ends.

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
