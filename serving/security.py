"""A token that callers of some routes must bear, where the site has set one. It is compared in constant time.

Health and metrics stay open: whoever runs the servers asks for them, and they tell nothing of anybody.
"""

import hmac
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from grpc_interceptor.server import AsyncServerInterceptor
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from newsrec.config import InvalidConfig

VARIABLE = "NEWSREC_TOKEN"
OPEN = ("/healthz", "/metrics")
SENTENCE = "this is for those who bear the token: Authorization: Bearer TOKEN"
_ADMINISTRATION = "RepositoryModel"
SHORTEST = 16
"""Characters: a shorter one can be tried out."""

Guarded = Callable[[str], bool]
"""Whether a path is only for those who bear the token."""


def read_token(file: Path | None) -> str | None:
    """The token in ``file``, else in the environment's NEWSREC_TOKEN; None where there is neither.

    Raises InvalidConfig, without the token, where it is too short, no printable ASCII, or its file cannot be read.
    """
    token, where = os.environ.get(VARIABLE), VARIABLE
    if file is not None:
        where = str(file)
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidConfig(f"the token cannot be read from {file}: {type(error).__name__}") from None
    if token is None:
        return None
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidConfig(
            f"the token in {where} is no {SHORTEST} or more printable ASCII characters without a space, "
            "such as openssl rand -hex 32 makes"
        )
    return token


def everything_but_health(path: str) -> bool:
    return path not in OPEN


def administration(path: str) -> bool:
    """Whether ``path`` is one of KServe's that load and unload models."""
    return path.startswith("/v2/repository/")


class BearerToken:
    """ASGI middleware: 401 before the body is read where ``Authorization: Bearer TOKEN`` lacks on a guarded path."""

    def __init__(self, app: ASGIApp, token: str, guarded: Guarded = everything_but_health) -> None:
        self.app, self._token, self._guarded = app, token, guarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] == "http"
            and self._guarded(scope["path"])
            and not borne(self._token, Headers(scope=scope).get("authorization", ""))
        ):
            refusal = JSONResponse({"error": SENTENCE}, 401, {"WWW-Authenticate": "Bearer"})
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)


class GRPCBearerToken(AsyncServerInterceptor):
    """The same for the calls of gRPC that load and unload models: UNAUTHENTICATED."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept(
        self, method: Callable[..., Any], request_or_iterator: Any, context: grpc.aio.ServicerContext, method_name: str
    ) -> Any:
        given = dict(context.invocation_metadata() or ()).get("authorization", "")
        if _ADMINISTRATION in method_name and not borne(self._token, str(given)):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, SENTENCE)
        return await method(request_or_iterator, context)


def borne(token: str, authorization: str) -> bool:
    """Whether the header says ``Bearer TOKEN``."""
    scheme, _, given = authorization.partition(" ")
    return hmac.compare_digest(f"{scheme.lower()} {given.strip()}".encode(), f"bearer {token}".encode())
