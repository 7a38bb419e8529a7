"""Log lines, as text or as JSON, each with the id of the request that it belongs to.

A request's id is the caller's ``X-Request-Id`` where that is one, else a new one, and stands in the answer's header (in
gRPC in the trailing metadata). Readers' ids never stand in a line: who logs says what happened, not to whom.
"""

import asyncio
import json
import logging
import logging.config
import re
import secrets
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Format = Literal["text", "json"]
T = TypeVar("T")
HEADER = "x-request-id"
_HEADER = HEADER.encode()
_VALID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
REQUEST: ContextVar[str] = ContextVar("request", default="")
"""The id of the request that is being answered; threads that work for it have to be given the context."""


_NEW: list[str] = []
"""Names that nobody has yet: one system call makes many."""


def new_id() -> str:
    """32 hexadecimal digits, from 128 random bits that nobody can guess."""
    try:
        return _NEW.pop()  # one step, whatever thread asks
    except IndexError:
        digits = secrets.token_hex(16 * 256)
        _NEW.extend(digits[at : at + 32] for at in range(32, len(digits), 32))
        return digits[:32]


def request_id(given: bytes | None) -> str:
    """What the caller names the request, where that is 1 to 128 plain characters; else a new name."""
    if given is not None and _VALID.fullmatch(given):
        return given.decode()
    return new_id()


def in_thread(threads: Executor, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
    """``function`` of ``arguments`` in one of ``threads``, where its log lines carry the request's id as well."""
    return asyncio.get_running_loop().run_in_executor(threads, copy_context().run, function, *arguments)


class RequestIds:
    """ASGI middleware: names each request, and repeats the name in the header of its answer.

    To stand in front of a whole application, so that the answer to a failure of the application has it too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        name = request_id(next((value for header, value in scope["headers"] if header == _HEADER), None))
        REQUEST.set(name)  # not taken back: what the server logs of a failed request comes after this
        header = (_HEADER, name.encode())

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await self.app(scope, receive, named)


class Text(logging.Formatter):
    """``2024-05-01 08:30:00,125 ERROR serving.collector: what happened [request 1f0c...]``"""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        line, name = super().formatMessage(record), REQUEST.get()
        return f"{line} [request {name}]" if name else line


class Json(logging.Formatter):
    """One object a line: its ``time``, ``level``, ``logger``, ``message``, ``request_id`` and ``traceback``."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if name := REQUEST.get():
            line["request_id"] = name
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(form: Format) -> None:
    """Send every line of this process to stderr in ``form``: our own from INFO on, libraries' from WARNING on."""
    everywhere: dict[str, Any] = {"handlers": [], "propagate": True}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": Text if form == "text" else Json}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": "WARNING", "handlers": ["stderr"]},
            "loggers": {
                "serving": everywhere | {"level": "INFO"},
                "kserve": everywhere | {"level": "WARNING"},
                "uvicorn": everywhere | {"level": "WARNING"},
                "psycopg": everywhere | {"level": "ERROR"},  # it warns of what follows from an error that is raised
            },
        }
    )
