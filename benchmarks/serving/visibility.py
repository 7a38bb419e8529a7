"""``python -m benchmarks.serving.visibility``: how soon after a reader's click the next slate knows of it.

Predictor and collector are processes of their own, on SQLite or Redis online (``--redis``), with SQLite as event log.
Each reader is new: a slate, a click ``PATIENCE`` seconds later or at once, then slates until one is not cold, which
only the reader's row in the online store makes it. The time is from the moment the click is sent to the moment at which
the first such slate was asked for. A click at once overtakes its own slate on the way to the event log.
"""

import argparse
import tempfile
import time
import uuid
from pathlib import Path

import httpx
import numpy as np

from benchmarks.serving import site
from benchmarks.serving.processes import HOST, Command, free_port, redis, running

READERS = 300
PATIENCE = 0.15
START_SECONDS = 180


def seen_after(http: httpx.Client, ask: str, tell: str, patience: float) -> float:
    """Seconds from a new reader's click to the question whose answer knew of it."""
    instance = {"user_id": uuid.uuid4().hex, "k": site.SLATE}
    (first,) = http.post(ask, json={"instances": [instance]}).raise_for_status().json()["predictions"]
    time.sleep(patience)
    click = {"event_id": uuid.uuid4().hex, "request_id": first["request_id"], "user_id": instance["user_id"]}
    click |= {"article_id": first["slate"][0]["article_id"], "position": 0, "kind": "click"}
    began = time.perf_counter()
    http.post(tell, json={"events": [click]}).raise_for_status()
    while True:
        asked = time.perf_counter()
        (later,) = http.post(ask, json={"instances": [instance]}).raise_for_status().json()["predictions"]
        if not later["cold"]:
            return asked - began


def measure(folder: Path, with_redis: bool, readers: int) -> dict[str, np.ndarray]:
    """What preceded the click -> seconds of each reader. [readers]"""
    port = free_port() if with_redis else None
    servers = [redis(folder, port)] if port else []
    with running(servers, folder):
        made = site.make(folder / "site", time.time_ns() // 1000, port)
        http_port, collector_port = free_port(), free_port()
        options = [f"--store={made.store}", f"--event-log={made.event_log}"]
        program = ["python", "-m", "serving"]
        predictor = [*program, "predictor", f"--artifact={made.artifact}", f"--http-port={http_port}", "--grpc-port=0"]
        collector = [*program, "collector", f"--port={collector_port}"]
        commands = [
            Command("predictor", [*predictor, *options], http_port, made.environment),
            Command("collector", [*collector, *options], collector_port, made.environment),
        ]
        ask, tell = (
            f"http://{HOST}:{http_port}/v1/models/newsrec:predict",
            f"http://{HOST}:{collector_port}/v1/feedback",
        )
        with running(commands, folder), httpx.Client(timeout=30) as http:
            _wait(http, http_port, "/v2/health/ready")
            _wait(http, collector_port, "/healthz")
            found = {}
            for name, patience in (("a click after its slate was logged", PATIENCE), ("a click at once", 0.0)):
                for _ in range(10):
                    seen_after(http, ask, tell, patience)
                found[name] = np.array([seen_after(http, ask, tell, patience) for _ in range(readers)])
            return found


def _wait(http: httpx.Client, port: int, path: str) -> None:
    """Until the server is ready, not only its port."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            if http.get(f"http://{HOST}:{port}{path}").status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > end:
            raise TimeoutError(f"nothing ready at port {port} after {START_SECONDS} s")
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redis", action="store_true", help="online rows in a Redis that is started for it")
    parser.add_argument("--readers", type=int, default=READERS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), asked.redis, asked.readers)
    for name, seconds in found.items():
        p50, p99, worst = np.quantile(seconds * 1000, [0.5, 0.99, 1.0])
        where = "Redis" if asked.redis else "SQLite"
        print(f"{where}, {name}, {len(seconds)} readers: p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {worst:.1f} ms")


if __name__ == "__main__":
    main()
