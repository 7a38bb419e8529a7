"""The load generator: HTTP/1.1 over kept-alive raw sockets, in a process and on a core of its own.

    python -m benchmarks.serving.load        reads a plan a line from stdin, answers with what came of it

One thread waits for all connections at once (epoll) and does nothing else, so that its own share of a latency stays
small; it is told with every answer as CPU time. A plan without ``rate`` is a closed loop: each connection asks again as
soon as it has its answer. With one requests are due at fixed moments, whoever is still waiting, and a latency counts
from that moment. Nothing but the standard library is imported.
"""

import array
import json
import math
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

PATIENCE_SECONDS = 30.0
"""After which a request without an answer is an error."""
BUFFER = 1 << 18


class Plan(NamedTuple):
    """What is to be asked of 127.0.0.1."""

    port: int
    path: str
    bodies: list[str]
    """JSON, sent one after the other and again from the first."""
    connections: int
    seconds: float
    rate: float | None = None
    """Requests a second; None for a closed loop."""
    window: float | None = None
    """Seconds for which latencies are told on their own."""

    def requests(self) -> list[bytes]:
        head = f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncontent-type: application/json\r\n"
        return [f"{head}content-length: {len(b.encode())}\r\n\r\n{b}".encode() for b in self.bodies]


class Outcome(NamedTuple):
    """What came of a plan; latencies in milliseconds, those of answers with status 200 alone."""

    requests: int
    """Answered with status 200."""
    seconds: float
    """From the first request to the last answer."""
    errors: dict[str, int]
    """What went wrong -> how often."""
    p50: float
    p99: float
    longest: float
    cpu_seconds: float
    """Of the generator itself."""
    windows: Sequence[Sequence[float]] = ()
    """Requests, p50 and p99 of each window in which one was answered."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


class Connection:
    """One kept-alive connection with at most one request on its way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = self.sent = 0.0
        """Since when the reader waits, and since when the server has known."""
        self.received, self.expected = b"", 0

    def ask(self, request: bytes, due: float) -> None:
        self.due, self.sent = due, time.perf_counter()
        self.received, self.expected = b"", 0
        self.socket.sendall(request)

    def status(self) -> bytes | None:
        """The status of the answer once all of it is there. Raises OSError or ValueError."""
        data = self.socket.recv(BUFFER)
        if not data:
            raise ConnectionResetError("connection closed")
        self.received += data
        if not self.expected:
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return None
            self.expected = end + 4 + _length(self.received[:end])
        return self.received[9:12] if len(self.received) >= self.expected else None


def _length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        raise ValueError("an answer without content-length")
    return int(lower[at + 17 :].split(b"\r\n", 1)[0])


def drive(plan: Plan) -> Outcome:
    """Carry out ``plan``."""
    return _Drive(plan).run()


class _Drive:
    def __init__(self, plan: Plan) -> None:
        self.plan, self.requests, self.asked = plan, plan.requests(), 0
        self.poll, self.busy, self.idle = select.epoll(), {}, []  # type: ignore[var-annotated]
        self.latency, self.moment = array.array("d"), array.array("d")
        self.errors: Counter[str] = Counter()
        for _ in range(plan.connections):
            self._connect()

    def _connect(self) -> None:
        try:
            connection = Connection(self.plan.port)
        except OSError as error:
            self.errors[f"no connection: {error}"] += 1
            return
        self.poll.register(connection.socket, select.EPOLLIN)
        self.idle.append(connection)

    def run(self) -> Outcome:
        cpu, self.start = time.process_time(), time.perf_counter()
        end, last, number = self.start + self.plan.seconds, self.start, 0
        while True:
            now = time.perf_counter()
            number = self._send(now, end, number)
            if not self.busy and (now >= end or not self.idle):
                break
            for descriptor, _ in self.poll.poll(self._wait(number, end)):
                last = self._take(descriptor) or last
            self._give_up(time.perf_counter())
        for connection in self.idle:
            connection.socket.close()
        self.poll.close()
        return self._outcome(max(last - self.start, 1e-9), time.process_time() - cpu)

    def _due(self, number: int) -> float:
        return self.start + number / self.plan.rate if self.plan.rate else 0.0

    def _send(self, now: float, end: float, number: int) -> int:
        """Send all that is due and has an idle connection; the number of the next request."""
        while self.idle:
            due = self._due(number) if self.plan.rate else now
            if due >= end or due > now:
                break
            connection = self.idle.pop()
            try:
                connection.ask(self.requests[number % len(self.requests)], due)
            except OSError as error:
                self._broken(connection, str(error))
            else:
                self.busy[connection.socket.fileno()] = connection
            number += 1
        return number

    def _wait(self, number: int, end: float) -> float:
        """Seconds to sleep at most: none where the next request is due before epoll's millisecond is over."""
        if self.plan.rate is None or not self.idle or self._due(number) >= end:
            return 0.5
        away = self._due(number) - time.perf_counter()
        return away - 0.001 if away > 0.002 else 0.0

    def _take(self, descriptor: int) -> float | None:
        """The moment at which the whole answer was there."""
        connection = self.busy.get(descriptor)
        if connection is None:  # the server closed an idle connection
            self.poll.unregister(descriptor)
            self.idle = [c for c in self.idle if c.socket.fileno() != descriptor]
            self._connect()
            return None
        try:
            status = connection.status()
        except (OSError, ValueError) as error:
            del self.busy[descriptor]
            self._broken(connection, str(error))
            return None
        if status is None:
            return None
        now = time.perf_counter()
        if status == b"200":
            self.latency.append(now - connection.due)
            self.moment.append(connection.due - self.start)
        else:
            self.errors[f"status {status.decode(errors='replace')}"] += 1
        self.idle.append(self.busy.pop(descriptor))
        return now

    def _broken(self, connection: Connection, what: str) -> None:
        self.errors[what] += 1
        self.poll.unregister(connection.socket)
        connection.socket.close()
        self._connect()

    def _give_up(self, now: float) -> None:
        for descriptor, connection in list(self.busy.items()):
            if now - connection.sent > PATIENCE_SECONDS:
                del self.busy[descriptor]
                self._broken(connection, f"no answer after {PATIENCE_SECONDS:.0f} s")

    def _outcome(self, seconds: float, cpu: float) -> Outcome:
        ordered = sorted(self.latency)
        windows: dict[int, list[float]] = {}
        if self.plan.window:
            for moment, latency in zip(self.moment, self.latency, strict=True):
                windows.setdefault(int(moment // self.plan.window), []).append(latency)
        told = []
        for _, of_window in sorted(windows.items()):
            of_window.sort()
            told.append([float(len(of_window)), 1e3 * quantile(of_window, 0.5), 1e3 * quantile(of_window, 0.99)])
        p50, p99, longest = (1e3 * quantile(ordered, q) for q in (0.5, 0.99, 1.0))
        return Outcome(len(ordered), seconds, dict(self.errors), p50, p99, longest, cpu, told)


def quantile(ordered: Any, share: float) -> float:
    """The smallest of ``ordered`` that ``share`` of them do not exceed; NaN of none."""
    return ordered[max(1, math.ceil(share * len(ordered))) - 1] if len(ordered) else math.nan


def main() -> None:
    """Say that it is there, then carry out a plan a line until stdin ends."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(drive(Plan(**json.loads(line)))._asdict()), flush=True)


if __name__ == "__main__":
    main()
