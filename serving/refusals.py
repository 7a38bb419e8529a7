"""How predictor and collector refuse a bad request: its HTTP status and ``{"error": ONE SENTENCE}``."""

import reprlib
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Busy(RuntimeError):
    """As much waits as may: 503 with Retry-After over HTTP, RESOURCE_EXHAUSTED over gRPC."""

    def __init__(self, reason: str, retry_after_seconds: int = 1) -> None:
        super().__init__(reason)
        self.reason, self.retry_after_seconds = reason, retry_after_seconds


class BodyLimit:
    """ASGI middleware: a request whose body is longer than ``limit`` bytes gets 413, before or while it is read."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app, self.limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if declared.isdigit() and int(declared) > self.limit:
            await JSONResponse({"error": self._sentence()}, 413)(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
                raise HTTPException(413, self._sentence())
            return message

        await self.app(scope, counted, send)

    def _sentence(self) -> str:
        return f"the body is longer than {self.limit:,} bytes, the most that is accepted"


def one_sentence(errors: Sequence[Any]) -> str:
    """The first of pydantic's ``errors`` in words: where, what was expected, what was found; and how many more."""
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body") or "the request"
    if first["type"] == "json_invalid":
        return f"the body is no JSON: {first['ctx']['error']}"
    if first["type"] == "missing":
        return f"{where}: a value is required"
    if first["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"{where}: expected a JSON object, found {reprlib.repr(first['input'])}"
    found = "" if first["type"] == "extra_forbidden" else f", found {reprlib.repr(first['input'])}"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    sentence = f"{where}: {first['msg'].removeprefix('Value error, ')}{found}{more}"
    return " ".join(sentence.split())  # the name of an unknown field is the caller's


def answer_refusals(app: FastAPI) -> None:
    """Give ``app`` one form of error: a wrong type is 400, and every refusal one sentence under the key ``error``."""

    async def invalid(request: Request, error: Any) -> JSONResponse:
        return JSONResponse({"error": one_sentence(error.errors())}, 400)

    async def refused(request: Request, error: Any) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    async def busy(request: Request, error: Any) -> JSONResponse:
        return JSONResponse({"error": error.reason}, 503, {"retry-after": str(error.retry_after_seconds)})

    async def failed(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "the server failed; its log says why"}, 500)

    app.add_exception_handler(Exception, failed)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Busy, busy)
    app.add_exception_handler(HTTPException, refused)
