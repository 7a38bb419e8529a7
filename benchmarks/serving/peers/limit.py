"""``limit``: what the machine can do at most from Python: bare ASGI, one raw read, a matrix-vector product.

    python -m benchmarks.serving.peers.limit PORT STORE      STORE is redis:PORT/DATABASE or a SQLite file

No framework, no validation, no policy: the reader's id comes out of the body's JSON, their vector of 64 numbers by one
command from Redis (or one row from SQLite), and the ten largest of 100 products go back.
"""

import gc
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import orjson
import redis
import uvicorn

from benchmarks.serving.processes import HOST

KEY = "vector:"
ARTICLES, WIDTH, SLATE = 100, 64, 10


def reading(store: str) -> Callable[[str], bytes]:
    """The raw read of a reader's vector."""
    if store.startswith("redis:"):
        port, _, database = store.removeprefix("redis:").partition("/")
        client = redis.Redis(HOST, int(port), int(database))
        return lambda user_id: client.get(KEY + user_id)  # type: ignore[return-value]
    connection = sqlite3.connect(store)

    def read(user_id: str) -> bytes:
        return connection.execute("SELECT vector FROM vectors WHERE user_id = ?", (user_id,)).fetchone()[0]

    return read


def application(read: Callable[[str], bytes]) -> Callable[..., Awaitable[None]]:
    matrix = np.random.default_rng(0).standard_normal((ARTICLES, WIDTH)).astype(np.float32)
    ids = [f"a{row:03}" for row in range(ARTICLES)]
    head = {"type": "http.response.start", "status": 200}

    async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        reader = np.frombuffer(read(orjson.loads(body)["instances"][0]["user_id"]), np.float32)
        scores = matrix @ reader  # [100]
        best = np.argpartition(-scores, SLATE)[:SLATE].tolist()
        answer = orjson.dumps({"predictions": [[ids[row] for row in best]]})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({**head, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


def main(port: int, store: str) -> None:
    app = application(reading(store))
    gc.collect()
    gc.freeze()
    quiet = {"lifespan": "off", "access_log": False, "log_level": "warning"}
    uvicorn.run(app, host=HOST, port=port, loop="uvloop", http="httptools", **quiet)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
