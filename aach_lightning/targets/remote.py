"""A target that answers over HTTP, behind the same doors as one in this process. The only file that uses urllib3."""

import base64
import io
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
import urllib3
from PIL import Image
from torch import Tensor
from urllib3.exceptions import HTTPError, ProtocolError

from aach_lightning.config.method import HttpConfig
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.files import digest
from aach_lightning.targets.contents import image_levels
from aach_lightning.targets.service import TargetError

VARIABLE = "AACH_API_KEY"
_AGAIN = (408, 500, 502, 503, 504)  # and 429 with Retry-After; without it a quota is spent, and waiting does not help


class HttpTarget:
    """Codes from a service that speaks as `aach_lightning.serving` does.

    A batch is cut into requests that are sent side by side. What gets lost is sent again, after a pause that grows or
    that the service asks for. The name of a request is a hash of its content: the service knows a repeated one, even of
    a run that was killed, and charges it once. Images travel as PNG, texts as float32: nothing is rounded on the way.

    Args:
        config: Where the service is, and how it is asked; its pauses grow to 60 seconds at most.
        code_length: K that is expected.
        key: Sent as a bearer token; None for a service without keys.
    """

    def __init__(self, config: HttpConfig, code_length: int, key: str | None = None) -> None:
        self._url, self._code_length = config.url.rstrip("/"), code_length
        self._connections, self._items = config.connections, config.items
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._retry = urllib3.Retry(
            total=config.attempts - 1,
            backoff_factor=config.backoff / 2,
            backoff_max=60,
            allowed_methods=None,  # POST too: its name makes it safe
            status_forcelist=_AGAIN,
            raise_on_status=False,
            redirect=False,  # a key is for one address
        )
        self._pool = urllib3.PoolManager(
            maxsize=config.connections,
            block=True,
            timeout=urllib3.Timeout(connect=config.timeout, read=config.timeout),
        )

    def about(self) -> dict[str, Any]:
        """What the service says of itself.

        Raises:
            TargetError: If it does not answer, or with something else.
        """
        found = self._ask("GET", "/v1/about", None)
        if not isinstance(found, dict):
            raise TargetError(f"{self._url}/v1/about answered with a {type(found).__name__}, not with an object")
        return found

    def hash_images(self, images: Tensor) -> Tensor:
        """Codes of images, float32 in [0, 1], N x 3 x H x W: int8 in {-1, +1}, N x K.

        Raises:
            TargetError: If the service refuses, or does not answer after all attempts.
        """
        return self._hash("/v1/images", image_levels(images), _images_body)

    def hash_texts(self, texts: Tensor) -> Tensor:
        """Codes of texts, float32, N x D; returns and raises as `hash_images`."""
        return self._hash("/v1/texts", texts.cpu(), _texts_body)

    def _hash(self, path: str, inputs: Tensor, encode: Callable[[Tensor], bytes]) -> Tensor:
        def ask(part: Tensor) -> Tensor:
            return self._codes(path, self._ask("POST", path, encode(part)), len(part))

        with ThreadPoolExecutor(self._connections) as threads:
            sent = [threads.submit(ask, part) for part in torch.split(inputs, self._items)] if len(inputs) else []
            try:
                codes = [answer.result() for answer in sent]
            except BaseException:
                threads.shutdown(cancel_futures=True, wait=False)  # what has not been sent is not paid for
                raise
        return torch.cat([torch.empty(0, self._code_length, dtype=torch.int8), *codes])

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        headers, address = self._headers, f"{self._url}{path}"
        if body is not None:
            name = digest(path.encode(), body)
            headers = {**headers, "X-Request-ID": name, "Content-Type": "application/json"}
        retry: urllib3.Retry = self._retry
        try:
            while True:
                response = self._pool.request(method, address, body=body, headers=headers, retries=retry)
                if response.status != 200:
                    raise TargetError(f"{address} answered {response.status}: {_message(response.data)}")
                try:
                    return json.loads(response.data)
                except ValueError as error:  # cut off where no length was promised
                    left = response.retries if response.retries is not None else retry
                    retry = left.increment(method, path, error=ProtocolError(f"an answer that is no JSON: {error}"))
                    retry.sleep()
        except HTTPError as error:
            raise TargetError(
                f"{address} did not answer: {error}. What was answered before is kept: run the same command again, or "
                "raise target.method.attempts or target.method.timeout."
            ) from error

    def _codes(self, path: str, answer: Any, count: int) -> Tensor:
        codes = answer.get("codes") if isinstance(answer, dict) else None
        expected = f"{self._url}{path} must answer with {count} strings of {self._code_length} characters 0 or 1"
        if not isinstance(codes, list) or len(codes) != count:
            raise TargetError(f"{expected}, got {str(answer)[:80]}")
        for code in codes:
            if not isinstance(code, str) or len(code) != self._code_length or set(code) - {"0", "1"}:
                raise TargetError(f"{expected}, got {str(code)[:80]!r}")
        digits = np.frombuffer("".join(codes).encode(), np.uint8).reshape(count, self._code_length)
        return torch.from_numpy((digits == ord("1")).astype(np.int8) * 2 - 1)


def open_remote(method: HttpConfig, code_length: int) -> HttpTarget:
    """The target that a configuration names; its key comes from the environment variable AACH_API_KEY.

    Raises:
        ConfigError: If the key cannot be sent in a header.
    """
    key = os.environ.get(VARIABLE) or None
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(f"{VARIABLE} must be printable ASCII characters without spaces")
    return HttpTarget(method, code_length, key)


def _images_body(levels: Tensor) -> bytes:
    return json.dumps({"images": [_png(image) for image in levels]}).encode()


def _png(levels: Tensor) -> str:
    buffer = io.BytesIO()
    pixels = np.ascontiguousarray(levels.permute(1, 2, 0).numpy())
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)  # size matters less than time
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _texts_body(texts: Tensor) -> bytes:
    floats = np.ascontiguousarray(texts.numpy(), "<f4").tobytes()
    return json.dumps({"floats": base64.b64encode(floats).decode("ascii")}).encode()


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return data[:200].decode(errors="replace")
