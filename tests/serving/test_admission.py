"""Bounded concurrency: who is refused, that it happens at once, and that places come back."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
from prometheus_client import REGISTRY as METRICS
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from serving.admission import Admission, GRPCAdmission, Places

PREDICT, INFER = "/v1/models/newsrec:predict", "/v2/models/newsrec/infer"


class Site:
    """An application whose answers to POST wait until ``go`` is set, behind two places."""

    def __init__(self) -> None:
        self.go, self.begun, self.fails = asyncio.Event(), 0, False
        self.places = Places(2)

        async def work(request: Request) -> JSONResponse:
            await request.body()
            self.begun += 1
            await self.go.wait()
            if self.fails:
                raise HTTPException(400)
            return JSONResponse({})

        async def look(request: Request) -> JSONResponse:
            return JSONResponse({})

        routes = [Route(path, work, methods=["POST"]) for path in (PREDICT, INFER, "/v1/models/newsrec:explain")]
        routes += [Route(path, look) for path in ("/metrics", "/v2/health/ready", "/v1/models/newsrec")]
        app = Admission(Starlette(routes=routes), self.places)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://site")

    async def until_begun(self, count: int) -> None:
        while self.begun < count:
            await asyncio.sleep(0.001)

    async def busy(self) -> list[asyncio.Task[httpx.Response]]:
        """Two requests at work."""
        tasks = [asyncio.create_task(self.http.post(path)) for path in (PREDICT, INFER)]
        await self.until_begun(2)
        return tasks


def refused(protocol: str) -> float:
    return METRICS.get_sample_value("newsrec_overloaded_total", {"protocol": protocol}) or 0.0


@pytest.mark.parametrize("path", [PREDICT, INFER, "/v1/models/newsrec:explain"])
def test_beyond_the_places_the_answer_is_503_at_once(path: str) -> None:
    async def crowd() -> None:
        site, before = Site(), refused("rest")
        first = await site.busy()
        answer = await site.http.post(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json() == {"error": "2 requests are at work, the most that may; try again later"}
        assert refused("rest") == before + 1
        assert site.begun == 2
        site.go.set()
        assert [(await task).status_code for task in first] == [200, 200]
        assert (await site.http.post(path)).status_code == 200
        assert METRICS.get_sample_value("newsrec_requests_at_work") == 0

    asyncio.run(crowd())


def test_health_and_metrics_need_no_place() -> None:
    async def crowd() -> None:
        site = Site()
        first = await site.busy()
        for path in ("/metrics", "/v2/health/ready", "/v1/models/newsrec"):
            assert (await site.http.get(path)).status_code == 200
        site.go.set()
        await asyncio.gather(*first)

    asyncio.run(crowd())


def test_a_place_comes_back_from_a_request_that_failed_or_was_given_up() -> None:
    async def crowd() -> None:
        site = Site()
        site.fails = True
        first = await site.busy()
        first[0].cancel()
        site.go.set()
        assert (await first[1]).status_code == 400
        await asyncio.gather(*first, return_exceptions=True)
        assert site.places.take()
        assert site.places.take()

    asyncio.run(crowd())


def test_who_sends_slowly_holds_no_place_and_may_find_none() -> None:
    async def crowd() -> None:
        site, sent, before = Site(), asyncio.Event(), refused("rest")

        async def slowly() -> AsyncIterator[bytes]:
            yield b"{"
            await sent.wait()
            yield b"}"

        slow = [asyncio.create_task(site.http.post(PREDICT, content=slowly())) for _ in range(3)]
        await asyncio.sleep(0.01)
        first = await site.busy()
        sent.set()
        answers = await asyncio.gather(*slow)
        assert [answer.status_code for answer in answers] == [503] * 3
        assert answers[0].headers["retry-after"] == "1"
        assert refused("rest") == before + 3
        site.go.set()
        assert [(await task).status_code for task in first] == [200, 200]
        assert site.places.take()

    asyncio.run(crowd())


def test_over_grpc_the_answer_is_resource_exhausted() -> None:
    async def crowd() -> None:
        go, begun, before = asyncio.Event(), asyncio.Event(), refused("grpc")

        async def work(request: bytes, context: Any) -> bytes:
            begun.set()
            await go.wait()
            return b"done"

        async def live(request: bytes, context: Any) -> bytes:
            return b"live"

        handlers = {"ModelInfer": work, "ServerLive": live}
        server = grpc.aio.server(interceptors=(GRPCAdmission(Places(1)),))
        server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    "inference.GRPCInferenceService",
                    {name: grpc.unary_unary_rpc_method_handler(handler) for name, handler in handlers.items()},
                )
            ]
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            first = asyncio.ensure_future(infer(b""))
            await begun.wait()
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await infer(b"")
            assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert error.value.details() == "1 requests are at work, the most that may; try again later"
            assert ("retry-after", "1") in list(error.value.trailing_metadata())
            assert await channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"") == b"live"
            assert refused("grpc") == before + 1
            go.set()
            assert await first == b"done"
            assert await infer(b"") == b"done"
        await server.stop(None)

    asyncio.run(crowd())
