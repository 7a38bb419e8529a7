"""How many requests may be at work at the same time; beyond that the answer is 503 at once, with Retry-After.

A queue that grows answers everybody late and nobody in time. The routes of the model have ``places``, which REST and
gRPC share; health, readiness and metrics need none. A request takes its place when its body has arrived, so that slow
clients hold none, and is refused before that where there is none left anyway.
"""

from collections.abc import Callable
from typing import Any

import grpc
from grpc_interceptor.server import AsyncServerInterceptor
from prometheus_client import Counter, Gauge
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_CONCURRENCY = 64
"""At about a millisecond each, the last of them is answered well within 100 ms."""
RETRY_AFTER_SECONDS = 1
OVERLOADED = Counter("newsrec_overloaded", "Requests that were refused because too many were at work", ["protocol"])
AT_WORK = Gauge("newsrec_requests_at_work", "Requests of the model's routes that are at work")

_MODEL_ROUTES = (":predict", ":explain", "/infer")
_MODEL_METHOD = "/ModelInfer"


class Places:
    """Of ``most`` requests; used from the event loop's thread alone."""

    def __init__(self, most: int = MAX_CONCURRENCY) -> None:
        self.most, self._taken = most, 0

    @property
    def full(self) -> bool:
        return self._taken >= self.most

    @property
    def sentence(self) -> str:
        return f"{self.most:,} requests are at work, the most that may; try again later"

    def take(self) -> bool:
        """Whether there was one."""
        if self.full:
            return False
        self._taken += 1
        AT_WORK.set(self._taken)
        return True

    def give_back(self) -> None:
        self._taken -= 1
        AT_WORK.set(self._taken)


def of_the_model(path: str) -> bool:
    return path.endswith(_MODEL_ROUTES)


class Admission:
    """ASGI middleware: lets as many requests to ``guarded`` paths in as there are ``places``."""

    def __init__(self, app: ASGIApp, places: Places, guarded: Callable[[str], bool] = of_the_model) -> None:
        self.app, self._places, self._guarded = app, places, guarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._guarded(scope["path"]):
            await self.app(scope, receive, send)
            return
        places, again = self._places, {"retry-after": str(RETRY_AFTER_SECONDS)}
        if places.full:
            OVERLOADED.labels("rest").inc()
            await JSONResponse({"error": places.sentence}, 503, again)(scope, receive, send)
            return
        taken = False

        async def admitted() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body") and not taken:
                if not places.take():
                    OVERLOADED.labels("rest").inc()
                    raise HTTPException(503, places.sentence, again)
                taken = True
            return message

        try:
            await self.app(scope, admitted, send)
        finally:
            if taken:
                places.give_back()


class GRPCAdmission(AsyncServerInterceptor):
    """The same for gRPC: RESOURCE_EXHAUSTED, and ``retry-after`` in the trailing metadata."""

    def __init__(self, places: Places) -> None:
        self._places = places

    async def intercept(
        self, method: Callable[..., Any], request_or_iterator: Any, context: grpc.aio.ServicerContext, method_name: str
    ) -> Any:
        if not method_name.endswith(_MODEL_METHOD):
            return await method(request_or_iterator, context)
        if not self._places.take():
            OVERLOADED.labels("grpc").inc()
            again = (*context.trailing_metadata(), ("retry-after", str(RETRY_AFTER_SECONDS)))
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, self._places.sentence, again)
        try:
            return await method(request_or_iterator, context)
        finally:
            self._places.give_back()
