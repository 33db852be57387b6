"""Answers that are kept for a while, so that a request that is sent again is neither computed nor charged again."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future

from aach_lightning.serving.request_error import RequestError


class AnswerMemory:
    """The last answers by request id; for several threads.

    A request that comes again while the first is still being answered waits for that answer. What failed is forgotten.

    Args:
        size: Answers kept; those used longest ago go first.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[Hashable, tuple[str, Future[bytes]]] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, name: Hashable, asked: str, compute: Callable[[], bytes]) -> tuple[bytes, bool]:
        """The remembered answer, or a new one.

        Args:
            name: Of the request, unlike that of any other client.
            asked: Hash of all that is asked.
            compute: Makes the answer.

        Returns:
            The answer, and whether it was remembered.

        Raises:
            RequestError: 409, if something else was asked under this name before; and what `compute` raises.
        """
        own: Future[bytes] = Future()
        with self._lock:
            earlier, answer = self._entries.setdefault(name, (asked, own))
            self._entries.move_to_end(name)
        if earlier != asked:
            raise RequestError(409, "id_reused", "this X-Request-ID came before with another request; take a new one")
        if answer is not own:
            return answer.result(), True
        try:
            own.set_result(compute())
        except BaseException as error:
            with self._lock:
                del self._entries[name]
            own.set_exception(error)
            raise
        with self._lock:
            for old in [key for key, (_, answer) in self._entries.items() if answer.done()]:
                if len(self._entries) <= self._size:
                    break
                del self._entries[old]
        return own.result(), False
