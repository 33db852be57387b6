"""The service as a web application. The only file that uses FastAPI."""

import asyncio
import json
import logging
import math
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from torch import Tensor

from aach_lightning import __version__
from aach_lightning.config.serving import LimitsConfig
from aach_lightning.runtime.files import digest
from aach_lightning.serving.accounts import Accounts
from aach_lightning.serving.bodies import CodesBody, ImagesBody, TextsBody, read_images, read_texts
from aach_lightning.serving.memory import AnswerMemory
from aach_lightning.serving.request_error import RequestError
from aach_lightning.serving.system import System

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)

REQUEST_ID, REMAINING, REPLAYED = "X-Request-ID", "X-Quota-Remaining", "X-Replayed"
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def make_app(system: System, accounts: Accounts, limits: LimitsConfig) -> "FastAPI":
    """The application, for an ASGI server.

    Args:
        system: What is served.
        accounts: Whose keys are known, and what is left of their quotas.
        limits: Of requests.
    """
    from fastapi import APIRouter, Depends, FastAPI, Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import Response
    from fastapi.security import HTTPBearer
    from starlette.exceptions import HTTPException

    memory = AnswerMemory(limits.remembered)
    app = FastAPI(title="Codes of images and texts", version=__version__)
    # only so that the OpenAPI page knows that a key is needed: it is checked before the body is read
    metered = APIRouter(prefix="/v1", dependencies=[Depends(HTTPBearer(auto_error=False))])

    @app.middleware("http")
    async def guard(request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
        """Key, rate, size and kind of a request, before anything of it is decoded; every refusal in one form."""
        name = request.headers.get(REQUEST_ID, uuid.uuid4().hex)
        if not _ID.fullmatch(name):
            return refused(None, RequestError(400, "bad_id", f"{REQUEST_ID} must match {_ID.pattern}"))
        request.state.name = name
        try:
            if request.url.path.startswith(metered.prefix):
                request.state.account = accounts.find(request.headers.get("Authorization"))
                request.state.account.admit()
                if request.method == "POST":
                    request.state.asked = digest(request.url.path.encode(), await body_of(request))
            response = await follow(request)
        except RequestError as error:
            response = refused(name, error)
        except Exception:
            log.exception("request %s failed", name)
            response = refused(name, RequestError(500, "failed", "the service could not answer; send it again"))
        response.headers[REQUEST_ID] = name
        return response

    async def body_of(request: Request) -> bytes:
        if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise RequestError(415, "not_json", "send Content-Type: application/json")
        most, length = int(limits.body_mib * 2**20), request.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise RequestError(411, "no_length", "send Content-Length")
        if int(length) > most:
            raise RequestError(413, "too_large", f"a body may have {most:,} bytes")
        try:
            async with asyncio.timeout(limits.body_seconds):
                return await request.body()
        except TimeoutError:
            message = f"the body did not arrive within {limits.body_seconds:g} s"
            raise RequestError(408, "too_slow", message) from None

    def refused(name: str | None, error: RequestError) -> Response:
        content = {"error": {"reason": error.reason, "message": error.message}, "request_id": name}
        headers = {} if error.retry_after is None else {"Retry-After": str(math.ceil(error.retry_after))}
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return Response(json.dumps(content), error.status, headers, "application/json")

    @app.exception_handler(RequestValidationError)
    async def on_other_body(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        status, reason = (400, "bad_json") if first["type"] == "json_invalid" else (422, "bad_body")
        raise RequestError(status, reason, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> Response:
        reason = "bad_json" if error.status_code == 400 else "no_such_page"
        raise RequestError(error.status_code, reason, str(error.detail)) from error

    def answered(request: Request, read: Callable[[Any, System, int], Tensor], body: Any) -> Response:
        account = request.state.account

        def compute() -> bytes:
            inputs = read(body, system, limits.items)
            with account.charge(len(inputs)):
                return system.answer(inputs)

        answer, replayed = memory.answer((id(account), request.state.name), request.state.asked, compute)
        headers = {REPLAYED: str(replayed).lower()}
        if account.remaining is not None:
            headers[REMAINING] = str(account.remaining)
        return Response(answer, headers=headers, media_type="application/json")

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the service is up; needs no key."""
        return {"status": "ok", "version": __version__}

    @metered.get("/about")
    async def about() -> dict[str, Any]:
        """Identity and sizes of the system, and how many items one request may hold."""
        return {**asdict(system.about), "most_items": limits.items}

    @metered.post("/images", response_model=CodesBody)
    def images(request: Request, body: ImagesBody) -> Response:
        """Codes of images. The same X-Request-ID with the same body is answered from memory and charged once."""
        return answered(request, read_images, body)

    @metered.post("/texts", response_model=CodesBody)
    def texts(request: Request, body: TextsBody) -> Response:
        """Codes of texts. The same X-Request-ID with the same body is answered from memory and charged once."""
        return answered(request, read_texts, body)

    app.include_router(metered)
    return app
