"""Child processes that end with the process that started them."""

import os
import signal
import threading
from multiprocessing import parent_process


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
