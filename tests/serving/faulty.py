"""A proxy before a service that does to requests what networks do."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import urllib3

FAULTS = ("drop", "lost", "error", "lost_error", "busy", "slow", "short", "cut", "html")
SLOW = 1.0  # seconds, longer than the client waits


class FaultyProxy(ThreadingHTTPServer):
    """Forwards requests; `plan` says what happens to the n-th POST, from 0."""

    daemon_threads = False

    def __init__(self, url: str, plan: Callable[[int], str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.service, self.plan = url, plan
        self.pool = urllib3.PoolManager(maxsize=32)
        self.counting = threading.Lock()
        self.posts: list[tuple[str, str, float]] = []  # fault, request id, time

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """The client has hung up: that is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    server: FaultyProxy

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(self._forward(None), "ok")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.counting:
            fault = self.server.plan(len(self.server.posts))
            self.server.posts.append((fault, self.headers["X-Request-ID"], time.monotonic()))
        if fault == "drop":
            return
        if fault in ("error", "busy"):
            self.send_response(500 if fault == "error" else 429)
            if fault == "busy":
                self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        answer = self._forward(body)
        if fault == "slow":
            time.sleep(SLOW)
        if fault == "lost_error":
            self.send_response(502)
            self.end_headers()
        elif fault != "lost":
            self._answer(answer, fault)

    def _forward(self, body: bytes | None) -> urllib3.BaseHTTPResponse:
        names = ("Authorization", "Content-Type", "X-Request-ID")
        headers = {name: self.headers[name] for name in names if name in self.headers}
        address = self.server.service + self.path
        return self.server.pool.request(self.command, address, body=body, headers=headers, retries=False)

    def _answer(self, answer: urllib3.BaseHTTPResponse, fault: str) -> None:
        data = b"<html>try later</html>" if fault == "html" else answer.data
        self.send_response(answer.status)
        if fault != "cut":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if fault in ("short", "cut") else data)


@contextmanager
def faulty(url: str, plan: Callable[[int], str]) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(url, plan)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
        proxy.pool.clear()
