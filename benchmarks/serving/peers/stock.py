"""KServe's model server as it is, on 127.0.0.1: stock KServe binds every address in its code, and only that is changed.

Pinned for every design but ``published``: no line of log a request (KServe writes two, uvicorn one), ``gc.freeze()``
behind the start as Python's documentation has it for servers. The same for all: one worker, one torch thread, uvicorn's
httptools, asyncio's own loop (KServe's ``--event-loop`` has no effect with one worker). ``as_published`` leaves logs
and garbage collector as they are where nobody turns a screw.
"""

import gc
import logging

import kserve
import kserve.model_server
from kserve.protocol.grpc import server as grpc_server
from kserve.protocol.rest.server import RESTServer

from benchmarks.serving.processes import HOST

NAME = "model"


class LocalRESTServer(RESTServer):
    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)
        self.config.host = HOST


class LocalAio:
    """``grpc.aio`` for KServe's gRPC server, with our address in the place of [::]."""

    def __init__(self, aio: object) -> None:
        self._aio = aio

    def server(self, *arguments: object, **named: object) -> object:
        server = self._aio.server(*arguments, **named)  # type: ignore[attr-defined]
        bind = server.add_insecure_port
        server.add_insecure_port = lambda address: bind(f"{HOST}:{address.rpartition(':')[2]}")
        return server


def serve(
    model: kserve.Model, http_port: int, grpc_port: int = 0, as_published: bool = False, **options: object
) -> None:
    """Serve ``model`` until SIGTERM; gRPC too where ``grpc_port`` is not 0."""
    kserve.model_server.RESTServer = LocalRESTServer
    grpc_server.aio = LocalAio(grpc_server.aio)
    server = kserve.ModelServer(
        http_port=http_port,
        grpc_port=grpc_port,
        enable_grpc=bool(grpc_port),
        enable_latency_logging=as_published,
        workers=1,
        **options,
    )
    if not as_published:
        for name in ("kserve", "kserve.trace", "uvicorn", "uvicorn.access"):
            logging.getLogger(name).setLevel(logging.WARNING)
        gc.collect()
        gc.freeze()
    server.start([model])
