"""How a CPU kernel is compiled and run: machine code kept on disk where that is possible, and threads of our own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compile_kernel(function: Function) -> Function:
    """Compile `function` with numba at its first call; it then runs without the GIL.

    The machine code is kept beside the source file, else in the user's cache folder. Where neither can be written (a
    read-only container) the kernel is compiled anew in each process instead of failing at import.
    """
    try:
        return cast(Function, njit(function, nogil=True, cache=True))
    except RuntimeError:  # numba found no folder that it may write to
        return cast(Function, njit(function, nogil=True))


def run_in_threads(kernel: Callable[[int, int], None], rows: int) -> None:
    """Call `kernel(first, last)` on ranges that together cover 0..rows, on as many threads as torch is set to use.

    Threads of our own instead of numba's: no second OpenMP pool beside torch's, no trouble after a fork, safe to call
    from several Python threads at once.

    Args:
        kernel: Works on the rows first..last (last excluded); must release the GIL to gain from the threads.
        rows: Number of rows, at least 1.
    """
    workers = min(torch.get_num_threads(), rows)
    if workers <= 1:
        kernel(0, rows)
        return
    # Eight ranges a thread: a core that is busy elsewhere does not hold up the rest.
    bounds = np.linspace(0, rows, min(rows, 8 * workers) + 1).astype(int).tolist()
    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(kernel, first, last) for first, last in pairwise(bounds)]:
            future.result()
