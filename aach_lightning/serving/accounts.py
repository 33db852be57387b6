"""Who may ask a service: keys, what is left of their quotas, and how fast they may ask."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from aach_lightning.config.serving import LimitsConfig
from aach_lightning.errors import ConfigError
from aach_lightning.serving.request_error import RequestError

VARIABLE = "AACH_API_KEYS"
SHORTEST = 16


class Account:
    """What one key may still do; for several threads.

    Args:
        limits: `quota` items in all, None for any number; `rate` requests a second in the long run, `burst` at once.
        clock: Seconds that only grow.
    """

    def __init__(self, limits: LimitsConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.remaining = limits.quota
        self.charged = 0
        self._rate, self._burst, self._clock = limits.rate, limits.burst, clock
        self._tokens, self._seen = float(limits.burst), clock()
        self._lock = threading.Lock()

    def admit(self) -> None:
        """Let one request in.

        Raises:
            RequestError: 429 with a time to wait, if requests come faster than `rate`.
        """
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._seen) * self._rate)
            self._seen = now
            if self._tokens < 1:
                wait = (1 - self._tokens) / self._rate
                raise RequestError(429, "too_fast", f"at most {self._rate:g} requests a second are answered", wait)
            self._tokens -= 1

    @contextmanager
    def charge(self, items: int) -> Iterator[None]:
        """Take `items` from the quota, all or none; they are given back where the body of the `with` statement fails.

        Raises:
            RequestError: 429 without a time to wait, if fewer are left.
        """
        self._take(items)
        try:
            yield
        except BaseException:
            self._take(-items)
            raise

    def _take(self, items: int) -> None:
        with self._lock:
            if self.remaining is not None:
                if items > self.remaining:
                    message = f"{items} items were asked for, {self.remaining} are left of this key's quota"
                    raise RequestError(429, "quota_spent", message)
                self.remaining -= items
            self.charged += items


class Accounts:
    """All keys of a service, each with a quota of its own for as long as the service runs; only hashes are kept.

    Args:
        keys: As clients send them.
        limits: See `Account`.
    """

    def __init__(self, keys: Sequence[str], limits: LimitsConfig) -> None:
        self._accounts = {_hash(key): Account(limits) for key in keys}

    def find(self, authorization: str | None) -> Account:
        """The account of a header `Authorization: Bearer KEY`.

        Raises:
            RequestError: 401, if there is no key or nobody has it.
        """
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise RequestError(401, "no_key", "send a header Authorization: Bearer KEY")
        # a lookup by hash: its time tells nothing about the key
        account = self._accounts.get(_hash(key.strip()))
        if account is None:
            raise RequestError(401, "unknown_key", "this key is not known here")
        return account


def keys_from_environment() -> list[str]:
    """The keys of a service: comma-separated in AACH_API_KEYS.

    Raises:
        ConfigError: If there are none, or one is short, repeated, or of characters that no header can hold.
    """
    keys = [key.strip() for key in os.environ.get(VARIABLE, "").split(",") if key.strip()]
    if not keys:
        raise ConfigError(f"a service needs keys: set the environment variable {VARIABLE}, separated by commas")
    if len(set(keys)) != len(keys):
        raise ConfigError(f"a key is repeated in {VARIABLE}: each has a quota of its own")
    for key in keys:
        if len(key) < SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigError(
                f"a key in {VARIABLE} has {len(key)} characters: at least {SHORTEST} printable ASCII characters "
                "without spaces are needed, such as those of `openssl rand -hex 16`"
            )
    return keys


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
