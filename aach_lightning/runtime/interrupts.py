"""Ctrl-C that no library swallows, and SIGTERM as it was before Lightning took it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

_asked = threading.Event()


@contextmanager
def remembered_interrupts() -> Iterator[None]:
    """Remember that somebody pressed Ctrl-C while the body of the `with` statement runs.

    It raises KeyboardInterrupt as always. But libraries catch it with everything else here and there, as fsspec does
    when Lightning asks whether a checkpoint exists; `RaiseAgain` then raises it once more.
    """
    before = signal.getsignal(signal.SIGINT)
    mine = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    _asked.clear()
    if mine:
        signal.signal(signal.SIGINT, _remember)
    try:
        yield
    finally:
        if mine:
            signal.signal(signal.SIGINT, before)


def _remember(number: int, frame: FrameType | None) -> None:
    _asked.set()
    raise KeyboardInterrupt


class RaiseAgain(Callback):
    """Raises a KeyboardInterrupt that was swallowed, after the next batch."""

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Look after each batch of training and of prediction."""
        if _asked.is_set():
            _asked.clear()
            raise KeyboardInterrupt

    on_predict_batch_end = on_train_batch_end


class PlainTermination(Callback):
    """Puts back what SIGTERM did before Lightning took it.

    Lightning would end training after a batch with exit status 0, go on with predicting, and wait for the other
    processes, which may not have got the signal. What is finished lies in the store: a process can die at once, or do
    what a cluster's launcher has set up.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Remember, before Lightning registers its own."""
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put it back."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handler)

    on_predict_start = on_train_start
