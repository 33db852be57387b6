"""A service on the loopback interface, in a thread of its own."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
import urllib3
from torch import Tensor

from aach_lightning.config.serving import LimitsConfig, ServingConfig
from aach_lightning.serving.accounts import Accounts
from aach_lightning.serving.app import make_app
from aach_lightning.serving.serve import bind, make_server
from aach_lightning.serving.system import About, System

KEY, OTHER = "first-key-0123456789", "other-key-0123456789"
SIZE, WORDS, BITS = 8, ("dog", "cat", "beach", "it's"), 12
LIMITS = LimitsConfig(
    quota=None, rate=1e6, burst=10**6, items=16, body_mib=0.5, body_seconds=20.0, remembered=100, connections=64
)


class Projection:
    """Signs of random projections, and what it was asked."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.of_images = torch.randn(3 * SIZE * SIZE, BITS, generator=generator)
        self.of_texts = torch.randn(len(WORDS), BITS, generator=generator)
        self.asked = 0
        self.fail = 0
        self.seconds = 0.0

    def hash_images(self, images: Tensor) -> Tensor:
        self._ask(images)
        return (images.flatten(1) - 0.5) @ self.of_images

    def hash_texts(self, texts: Tensor) -> Tensor:
        self._ask(texts)
        return (texts - 0.3) @ self.of_texts

    def _ask(self, inputs: Tensor) -> None:
        time.sleep(self.seconds)
        if self.fail:
            self.fail -= 1
            raise RuntimeError("the target has a bad day")
        self.asked += len(inputs)


@dataclass
class Serving:
    url: str
    target: Projection
    accounts: Accounts
    pool: urllib3.PoolManager

    @property
    def charged(self) -> int:
        """Items that KEY has paid for."""
        return self.accounts.find(f"Bearer {KEY}").charged

    def send(self, path: str, body: Any = None, **headers: str) -> urllib3.BaseHTTPResponse:
        """POST with a JSON body, or GET without one."""
        given = {"Authorization": f"Bearer {KEY}"} | {name.replace("_", "-"): value for name, value in headers.items()}
        options = {"headers": given, "retries": False, "timeout": 30}
        if body is None:
            return self.pool.request("GET", self.url + path, **options)
        if isinstance(body, bytes):
            return self.pool.request("POST", self.url + path, body=body, **options)
        return self.pool.request("POST", self.url + path, json=body, **options)


@pytest.fixture
def start() -> Iterator[Callable[..., Serving]]:
    for name in ("fastapi", "uvicorn"):
        pytest.importorskip(name, reason="the extra `serve` is not installed")
    running = []

    def started(target: Any = None, system: System | None = None, **limits: Any) -> Serving:
        chosen = replace(LIMITS, **limits)
        target = target or Projection()
        system = system or System(target, About("projection 0", BITS, SIZE, len(WORDS), "hash of words"))
        accounts = Accounts([KEY, OTHER], chosen)
        server = make_server(make_app(system, accounts, chosen), ServingConfig("127.0.0.1", 0, chosen))
        listener = bind(server)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        pool = urllib3.PoolManager(maxsize=16)
        running.append((server, thread, pool))
        end = time.monotonic() + 30
        while not server.started and time.monotonic() < end:
            time.sleep(0.01)
        return Serving(f"http://127.0.0.1:{listener.getsockname()[1]}", target, accounts, pool)

    yield started
    for server, thread, pool in running:
        pool.clear()
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def serving(start: Callable[..., Serving]) -> Serving:
    return start()
