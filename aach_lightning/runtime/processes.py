"""Child processes: how they start, and that they end with the process that started them."""

import multiprocessing
import os
import signal
import threading
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext


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
