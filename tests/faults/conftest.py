"""Faults of a whole site: a predictor and a collector as processes, clients who go on asking, and what breaks.

Where servers are started a test is marked ``slow`` and part of ``make test-slow``, not of ``make test``.
"""

import os
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.conftest import unavailable, wait_for_port
from tests.serving.conftest import Process, free_port, wait_for
from tests.serving.test_predictor import V1

__all__ = ["Redis", "Traffic", "redis"]


CLICKS = 10
"""After so many a reader leaves, far from having read everything, and another one comes."""


class Outcome(NamedTuple):
    """An answer to a request for a slate."""

    status: int
    retry: bool
    """It says when to ask again."""
    degraded: bool
    cold: bool
    logged: bool
    """It shows something: an empty slate decides nothing and is not logged."""


class Traffic:
    """Readers who ask for a slate and click its first article, one after the other, until the block ends.

    Their events are sent again, as a client would, until they are acknowledged.
    """

    def __init__(self, predictor: Process, collector: Process, readers: int = 4) -> None:
        self._predictor, self._collector = predictor.http.base_url, collector.http.base_url
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self.slates: list[Outcome] = []
        self.feedback: list[int] = []
        """Statuses."""
        self.acknowledged: set[str] = set()
        """Ids of events that were answered with 200."""
        self.latest = ""
        """Reader of the last one of these."""
        self.wrong: list[str] = []
        """What no client should ever see."""
        self._threads = [threading.Thread(target=self._read, args=(f"reader-{i}",)) for i in range(readers)]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def more(self, slates: int = 20, acknowledged: int = 0) -> list[Outcome]:
        """Wait for so many slates that are asked for from now on, and so many events; the slates."""
        before, known = len(self.slates), len(self.acknowledged)
        wait_for(lambda: len(self.slates) >= before + slates and len(self.acknowledged) >= known + acknowledged, 120)
        return self.slates[before:]

    def _read(self, name: str) -> None:
        number = 0
        with (
            httpx.Client(base_url=self._predictor, timeout=30) as asks,
            httpx.Client(base_url=self._collector, timeout=30) as sends,
        ):
            while not self._stopped.is_set():
                try:
                    reader = f"{name}-{number // CLICKS}"
                    answer = asks.post(V1, json={"instances": [{"user_id": reader, "k": 3}]})
                    prediction = self._slate(answer)
                    if prediction is not None and prediction["slate"]:
                        number += 1
                        self._click(sends, reader, f"{reader}-{number}", prediction)
                except httpx.TransportError as error:
                    if not self._stopped.is_set():
                        self.wrong.append(repr(error))
                        return

    def _slate(self, answer: httpx.Response) -> dict[str, Any] | None:
        body = answer.json()
        (prediction,) = body["predictions"] if answer.status_code == 200 else ({},)
        outcome = Outcome(
            answer.status_code,
            "retry-after" in answer.headers,
            "degraded" in prediction,
            bool(prediction.get("cold")),
            bool(prediction.get("slate")),
        )
        if answer.status_code not in (200, 503):
            self.wrong.append(f"{answer.status_code} {answer.text}")
        with self._lock:
            self.slates.append(outcome)
        return prediction if answer.status_code == 200 else None

    def _click(self, http: httpx.Client, reader: str, event_id: str, prediction: dict[str, Any]) -> None:
        event = {"event_id": event_id, "request_id": prediction["request_id"], "user_id": reader, "kind": "click"}
        event |= {"article_id": prediction["slate"][0]["article_id"], "position": 0}
        while not self._stopped.is_set():
            answer = http.post("/v1/feedback", json={"events": [event]})
            with self._lock:
                self.feedback.append(answer.status_code)
                if answer.status_code == 200:
                    self.acknowledged.add(event_id)
                    self.latest = reader
                    return
                if answer.status_code != 503:
                    self.wrong.append(f"{answer.status_code} {answer.text}")
            self._stopped.wait(0.1)


class Redis:
    """A Redis of one test, which it may pause, kill, start again and fill."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder, self.port = program, folder, free_port()
        self.start()

    def start(self) -> None:
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--dir", str(self._folder)]
        self.process = subprocess.Popen([self._program, *options, "--logfile", "redis.log"])
        wait_for_port(self.port, self.process)

    def pause(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def limit(self, size: int) -> None:
        """Of memory, in bytes, 0 for none: beyond it Redis refuses to write."""
        from redis import Redis as Client

        with Client("127.0.0.1", self.port) as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", size)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    program = shutil.which("redis-server")
    if program is None:
        unavailable("redis", "redis-server not found; apt-get install redis-server")
    started = Redis(str(program), tmp_path)
    try:
        yield started
    finally:
        started.go_on()
        started.kill()


def once_each(events: list[str], acknowledged: set[str]) -> None:
    """That ``events`` of a log hold every acknowledged one, and none twice."""
    assert acknowledged <= set(events)
    assert max(Counter(events).values()) == 1
