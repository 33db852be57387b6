"""Ctrl-C that is not lost on its way."""

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

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look after each batch of training."""
        _raise_again()

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Look after each batch of prediction."""
        _raise_again()


def _raise_again() -> None:
    if _asked.is_set():
        _asked.clear()
        raise KeyboardInterrupt
