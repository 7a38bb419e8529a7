"""KServe's model server for one model: bound to one address, with a body limit and quiet, one-sentence refusals.

KServe binds 0.0.0.0 and [::] in its code, logs each request, is ready whatever its model says, and lets anyone unload
the model; the subclasses below change that and nothing else.
"""

import asyncio
import socket
import struct
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, runtime_checkable

import grpc
import kserve
import uvloop
from fastapi import FastAPI, Request
from fastapi.exceptions import FastAPIDeprecationWarning
from grpc_interceptor.server import AsyncServerInterceptor
from kserve.errors import InferenceError, InvalidInput, ModelNotFound, ModelNotReady
from kserve.model_server import FASTAPI_APP_IMPORT_STRING
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.server import GRPCServer
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.rest.server import RESTServer
from kserve.protocol.rest.v1_endpoints import V1_ROUTE_PREFIX, V1Endpoints
from starlette.responses import JSONResponse
from uvicorn.importer import import_from_string

from serving.admission import MAX_CONCURRENCY, Admission, GRPCAdmission, Places
from serving.failures import one_line
from serving.logs import HEADER, REQUEST, RequestIds, request_id
from serving.openapi import PREDICTOR, describe
from serving.refusals import BodyLimit, Busy, answer_refusals
from serving.schema import MAX_BODY_BYTES
from serving.security import BearerToken, GRPCBearerToken, administration

warnings.filterwarnings("ignore", category=FastAPIDeprecationWarning)  # of KServe's own routes, at their first request

GRACE_SECONDS = 10
"""How long requests in flight may take to finish after SIGTERM."""


class NotReady(ModelNotReady):
    """The model cannot answer; KServe's gRPC server reads ``reason`` (its own exception has none)."""

    def __init__(self, model_name: str, detail: str) -> None:
        super().__init__(model_name, detail)
        self.reason = self.error_msg


@runtime_checkable
class Fit(Protocol):
    """A model that goes on answering for a while when it had better be sent no requests."""

    async def fit(self) -> bool: ...


class Unsupported(NotImplementedError):
    """A route of KServe that this server does not offer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _OneModel(kserve.ModelRepository):
    async def is_model_ready(self, name: str) -> bool:
        if self.get_model(name) is None:
            raise ModelNotFound(name)  # to load: KServe would say that it is not ready
        return await super().is_model_ready(name)

    def unload(self, name: str) -> None:
        raise Unsupported(f"{name} is unloaded by stopping the server")


class _DataPlane(DataPlane):
    async def ready(self) -> bool:
        """True when every model is fit to be sent requests; raises NotReady with the reason."""
        models = self.model_registry.get_models().values()
        return all([await (model.fit() if isinstance(model, Fit) else model.healthy()) for model in models])

    def decode(self, *arguments: Any, **named: Any) -> Any:
        try:
            return super().decode(*arguments, **named)
        except (AttributeError, InferenceError, KeyError, TypeError, ValueError, struct.error) as error:
            raise InvalidInput(
                str(error) if isinstance(error, InvalidInput) else f"cannot be decoded: {error}"
            ) from None

    async def explain(self, *arguments: Any, **named: Any) -> Any:
        """KServe would answer with the headers of the request, its authorization among them."""
        response, _ = await super().explain(*arguments, **named | {"headers": {}})
        return response, {}


class _RESTServer(RESTServer):
    def __init__(
        self, listening: socket.socket, places: Places, token: str | None, *arguments: Any, **named: Any
    ) -> None:
        super().__init__(*arguments, **named)
        self._listening, self._places, self._token = listening, places, token
        self.config.proxy_headers = False  # nobody here asks for a caller's address

    async def start(self) -> None:
        self.create_application()
        self.config.app = RequestIds(import_from_string(FASTAPI_APP_IMPORT_STRING))
        await self._server.serve(sockets=[self._listening])

    def _register_endpoints(self, app: FastAPI) -> None:
        """KServe's, and in front of them its endpoint of slates once more.

        FastAPI tries route after route, and takes each request's parameters apart where this one has but a name.
        """
        endpoints = V1Endpoints(self.dataplane, self.model_repository_extension)

        async def predict(request: Request) -> Any:
            return await endpoints.predict(request.path_params["model_name"], request)

        path = f"{V1_ROUTE_PREFIX}/models/{{model_name}}:predict"
        app.add_route(path, predict, methods=["POST"], include_in_schema=False)
        super()._register_endpoints(app)

    def _add_middlewares(self, app: FastAPI) -> None:
        app.add_middleware(BodyLimit, limit=MAX_BODY_BYTES)
        app.add_middleware(Admission, places=self._places)
        if self._token is not None:
            app.add_middleware(BearerToken, token=self._token, guarded=administration)

    def _add_exception_handlers(self, app: FastAPI) -> None:
        super()._add_exception_handlers(app)
        answer_refusals(app)
        describe(app, PREDICTOR)
        statuses = {InvalidInput: 400, ModelNotFound: 404, NotImplementedError: 404, Unsupported: 405}
        statuses |= {ModelNotReady: 503}
        for kind, status in statuses.items():
            app.add_exception_handler(kind, _answer(status))


def _answer(status: int) -> Any:
    """A handler that answers what the error says."""

    async def handle(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": one_line(error)}, status)

    return handle


class _Refusals(ExceptionToStatusInterceptor):
    async def handle_exception(self, ex: Exception, request: Any, context: Any, method_name: str) -> None:
        if isinstance(ex, InvalidInput):  # KServe would log a trace for each, as for the next two
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, ex.reason)
        if isinstance(ex, ModelNotFound):
            await context.abort(grpc.StatusCode.NOT_FOUND, one_line(ex))
        if isinstance(ex, struct.error):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"raw_input_contents cannot be decoded: {ex}")
        if isinstance(ex, Busy):
            again = (*context.trailing_metadata(), ("retry-after", str(ex.retry_after_seconds)))
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, ex.reason, again)
        await super().handle_exception(ex, request, context, method_name)


class _Metadatum(NamedTuple):
    """What KServe takes for one: a pair with names."""

    key: str
    value: str


class _RequestIds(AsyncServerInterceptor):
    """Names each call by its metadata ``x-request-id``, and repeats the name in the trailing metadata."""

    async def intercept(
        self, method: Any, request_or_iterator: Any, context: grpc.aio.ServicerContext, method_name: str
    ) -> Any:
        metadata: Sequence[tuple[str, str | bytes]] = context.invocation_metadata() or ()
        given = next((value for key, value in metadata if key == HEADER), None)
        name = request_id(given.encode(errors="replace") if isinstance(given, str) else given)
        REQUEST.set(name)
        context.set_trailing_metadata((_Metadatum(HEADER, name),))
        return await method(request_or_iterator, context)


class _GRPCServer(GRPCServer):
    def __init__(self, host: str, places: Places, token: str | None, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._host, self._places, self._token = host, places, token

    async def start(self, max_workers: int) -> None:
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", MAX_BODY_BYTES)]
        workers = ThreadPoolExecutor(max_workers)
        guards = () if self._token is None else (GRPCBearerToken(self._token),)
        interceptors = (_RequestIds(), *guards, GRPCAdmission(self._places), _Refusals())
        self._server = grpc.aio.server(workers, interceptors=interceptors, options=options)
        servicer = InferenceServicer(self._data_plane, self._model_repository_extension)
        grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, self._server)
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._server.add_insecure_port(f"{host}:{self._port}")
        await self._server.start()
        await self._server.wait_for_termination()


class Server(kserve.ModelServer):
    """REST on the bound socket ``listening``; gRPC on the same host at ``grpc_port``, or none where that is 0.

    Together they work on at most ``max_concurrency`` requests of the model's routes at a time.
    Where there is a ``token``, whoever loads or unloads models must bear it.
    """

    def __init__(
        self,
        listening: socket.socket,
        grpc_port: int,
        max_concurrency: int = MAX_CONCURRENCY,
        token: str | None = None,
    ) -> None:
        self._listening, self._places, self._token = listening, Places(max_concurrency), token
        self._host, http_port = listening.getsockname()[:2]
        super().__init__(
            http_port,
            grpc_port,
            workers=1,
            registered_models=_OneModel(),
            enable_grpc=grpc_port > 0,
            enable_latency_logging=False,
            grace_period=GRACE_SECONDS,
        )
        self.dataplane = _DataPlane(self.registered_models)

    def start(self, models: list[kserve.Model]) -> None:
        """Serve until SIGTERM or SIGINT. A model that is not ready is served all the same: its readiness says why."""
        for model in models:
            self.register_model(model)
        extension = self.model_repository_extension
        self._rest_server = _RESTServer(
            self._listening,
            self._places,
            self._token,
            FASTAPI_APP_IMPORT_STRING,
            self.dataplane,
            extension,
            self.http_port,
            grace_period=self.grace_period,
        )
        self.servers.append(self._rest_server.start())
        if self.enable_grpc:
            self._grpc_server = _GRPCServer(
                self._host, self._places, self._token, self.grpc_port, self.dataplane, extension, {}, self.grace_period
            )
            self.servers.append(self._grpc_server.start(self.max_threads))
        self.register_signal_handler()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # KServe has no other way with one worker
            runner.run(self._serve())

    def stop(self, sig: int) -> None:
        """The second half of a shutdown: the REST server ends itself on the signal and then calls this."""
        if self._grpc_server:
            asyncio.get_running_loop().create_task(self._grpc_server.stop(sig))
