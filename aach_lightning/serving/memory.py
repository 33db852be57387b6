"""Answers that are kept for a while, so that a request that is sent again is neither computed nor charged again."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice

from aach_lightning.serving.request_error import RequestError


@dataclass
class _Entry:
    digest: bytes
    answer: "Future[bytes]" = field(default_factory=Future)


class AnswerMemory:
    """The last answers by request id; for several threads.

    A request that comes again while the first is still being answered waits for that answer. What failed is forgotten.

    Args:
        size: Answers kept; those used longest ago go first.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, name: Hashable, digest: bytes, compute: Callable[[], bytes]) -> tuple[bytes, bool]:
        """The remembered answer, or a new one.

        Args:
            name: Of the request, unlike that of any other client.
            digest: Of all that is asked.
            compute: Makes the answer.

        Returns:
            The answer, and whether it was remembered.

        Raises:
            RequestError: 409, if something else was asked under this name before; and what `compute` raises.
        """
        with self._lock:
            entry = self._entries.get(name)
            if entry is not None:
                self._entries.move_to_end(name)
            else:
                own = self._entries[name] = _Entry(digest)
        if entry is not None:
            if entry.digest != digest:
                raise RequestError(
                    409, "id_reused", "this X-Request-ID came before with another request; take a new one"
                )
            return entry.answer.result(), True
        try:
            answer = compute()
        except BaseException as error:
            with self._lock:
                del self._entries[name]
            own.answer.set_exception(error)
            raise
        own.answer.set_result(answer)
        self._forget()
        return answer, False

    def _forget(self) -> None:
        with self._lock:
            excess = max(len(self._entries) - self._size, 0)
            done = (name for name, entry in self._entries.items() if entry.answer.done())
            for name in list(islice(done, excess)):
                del self._entries[name]
