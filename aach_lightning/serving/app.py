"""The service as a web application. The only file that uses FastAPI."""

import asyncio
import json
import logging
import math
import re
import uuid
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from torch import Tensor

from aach_lightning import __version__
from aach_lightning.config.serving import LimitsConfig
from aach_lightning.runtime.files import digest
from aach_lightning.serving.accounts import Account, Accounts
from aach_lightning.serving.bodies import CodesBody, ImagesBody, TextsBody, read_images, read_texts
from aach_lightning.serving.memory import AnswerMemory
from aach_lightning.serving.request_error import RequestError
from aach_lightning.serving.system import About, System

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)

REQUEST_ID, REMAINING, REPLAYED = "X-Request-ID", "X-Quota-Remaining", "X-Replayed"
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Desk:
    """From the bytes of a request to those of its answer.

    Args:
        system: What answers.
        limits: Of requests.
    """

    def __init__(self, system: System, limits: LimitsConfig) -> None:
        self._system, self._limits = system, limits
        self._memory = AnswerMemory(limits.remembered)

    def images(self, account: Account, name: str, body: bytes) -> tuple[bytes, bool]:
        """Answer a request for codes of images; returns the answer and whether it was remembered."""
        system, most = self._system, self._limits.items
        return self._answer(
            account, name, b"images", body, lambda: read_images(_parse(ImagesBody, body), system.image_size, most)
        )

    def texts(self, account: Account, name: str, body: bytes) -> tuple[bytes, bool]:
        """Answer a request for codes of texts; returns the answer and whether it was remembered."""
        system, most = self._system, self._limits.items
        return self._answer(
            account,
            name,
            b"texts",
            body,
            lambda: read_texts(_parse(TextsBody, body), system.text_width, system.words, most),
        )

    def _answer(
        self, account: Account, name: str, what: bytes, body: bytes, read: Callable[[], Tensor]
    ) -> tuple[bytes, bool]:
        def compute() -> bytes:
            inputs = read()
            account.charge(len(inputs))
            try:
                return self._system.answer(inputs)
            except BaseException:
                account.refund(len(inputs))
                raise

        return self._memory.answer((id(account), name), digest(what, body).encode(), compute)


def make_app(system: System, accounts: Accounts, limits: LimitsConfig) -> "FastAPI":
    """The application, for an ASGI server.

    Args:
        system: What is served.
        accounts: Who may ask.
        limits: Of requests.
    """
    from fastapi import Depends, FastAPI, Request
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import Response
    from fastapi.security import HTTPBearer
    from starlette.exceptions import HTTPException

    desk = Desk(system, limits)
    app = FastAPI(title="Codes of images and texts", version=__version__)
    # only so that the OpenAPI page knows that a key is needed; `accounts` checks it, with an error of our own form
    key = [Depends(HTTPBearer(auto_error=False))]

    def refused(request: Request, error: RequestError) -> Response:
        name = getattr(request.state, "name", None)
        content = {"error": {"reason": error.reason, "message": error.message}, "request_id": name}
        headers = {} if error.retry_after is None else {"Retry-After": str(math.ceil(error.retry_after))}
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return Response(json.dumps(content), error.status, headers, "application/json")

    @app.middleware("http")
    async def name_requests(request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
        name = request.headers.get(REQUEST_ID)
        if name is not None and not _ID.fullmatch(name):
            return refused(request, RequestError(400, "bad_id", f"{REQUEST_ID} must match {_ID.pattern}"))
        request.state.name = name or uuid.uuid4().hex
        try:
            response = await follow(request)
        except Exception:
            log.exception("request %s failed", request.state.name)
            response = refused(request, RequestError(500, "failed", "the service could not answer; send it again"))
        response.headers[REQUEST_ID] = request.state.name
        return response

    @app.exception_handler(RequestError)
    async def on_request_error(request: Request, error: RequestError) -> Response:
        return refused(request, error)

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> Response:
        return refused(request, RequestError(error.status_code, "no_such_page", str(error.detail)))

    def admitted(request: Request) -> Account:
        account = accounts.find(request.headers.get("Authorization"))
        account.admit()
        return account

    async def read_body(request: Request) -> bytes:
        if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise RequestError(415, "not_json", "send Content-Type: application/json")
        most = int(limits.body_mib * 2**20)
        too_large = RequestError(413, "too_large", f"a body may have {most:,} bytes")
        declared = request.headers.get("Content-Length", "")
        if declared.isdecimal() and int(declared) > most:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(limits.body_seconds):
                async for part in request.stream():
                    body += part
                    if len(body) > most:
                        raise too_large
        except TimeoutError:
            message = f"the body did not arrive within {limits.body_seconds:g} s"
            raise RequestError(408, "too_slow", message) from None
        return bytes(body)

    async def answered(request: Request, ask: Callable[[Account, str, bytes], tuple[bytes, bool]]) -> Response:
        account = admitted(request)
        body = await read_body(request)
        answer, replayed = await run_in_threadpool(ask, account, request.state.name, body)
        headers = {REPLAYED: str(replayed).lower()}
        if account.remaining is not None:
            headers[REMAINING] = str(account.remaining)
        return Response(answer, headers=headers, media_type="application/json")

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the service is up; needs no key."""
        return {"status": "ok", "version": __version__}

    @app.get("/v1/about", dependencies=key)
    async def about(request: Request) -> About:
        """What a client has to know."""
        admitted(request)
        return system.about(limits.items)

    @app.post("/v1/images", dependencies=key, response_model=CodesBody, openapi_extra=_described(ImagesBody))
    async def images(request: Request) -> Response:
        """Codes of images. The same X-Request-ID with the same body is answered from memory and charged once."""
        return await answered(request, desk.images)

    @app.post("/v1/texts", dependencies=key, response_model=CodesBody, openapi_extra=_described(TextsBody))
    async def texts(request: Request) -> Response:
        """Codes of texts. The same X-Request-ID with the same body is answered from memory and charged once."""
        return await answered(request, desk.texts)

    return app


@cache
def _form(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _parse(kind: Any, body: bytes) -> Any:
    from pydantic import ValidationError

    try:
        return _form(kind).validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        status, reason = (400, "bad_json") if first["type"] == "json_invalid" else (422, "bad_body")
        place = ".".join(str(part) for part in first["loc"]) or "body"
        raise RequestError(status, reason, f"{place}: {first['msg']}") from error


def _described(kind: Any) -> dict[str, Any]:
    """The body of a request for the OpenAPI page: it is read by hand, so that its size is limited."""
    content = {"application/json": {"schema": _form(kind).json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
