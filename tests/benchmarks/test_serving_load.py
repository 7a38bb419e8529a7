"""The load generator counts what a server does: answers, refusals, silence, broken connections; on time and late."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from benchmarks.serving import load
from benchmarks.serving.load import Plan, drive, quantile

Answering = Callable[[int, bytes], bytes | None]
"""From the number of a request and what came to an answer; None closes the connection."""


def answer(status: str = "200 OK", body: bytes = b"{}") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@contextmanager
def server(answering: Answering) -> Iterator[tuple[int, list[bytes]]]:
    """Its port, and all requests so far: a thread for each connection, every request in one piece."""
    seen: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65_536):
                seen.append(data)
                given = answering(len(seen), data)
                if given is None:
                    return
                connection.sendall(given)

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listening.getsockname()[1], seen
    finally:
        listening.close()


def test_a_closed_loop_counts_each_answer_once_and_sends_the_bodies_in_turn() -> None:
    with server(lambda *_: answer()) as (port, seen):
        outcome = drive(Plan(port, "/ask", ['{"a":1}', '{"b":"ä"}'], connections=1, seconds=0.5))
    assert outcome.requests == len(seen) > 4
    assert outcome.errors == {}
    assert seen[0].startswith(b"POST /ask HTTP/1.1\r\n")
    assert seen[0].endswith(b'content-length: 7\r\n\r\n{"a":1}')
    assert [request.endswith('content-length: 10\r\n\r\n{"b":"ä"}'.encode()) for request in seen[:4]] == [
        False,
        True,
    ] * 2
    assert 0.0 < outcome.p50 <= outcome.p99 <= outcome.longest
    assert outcome.cpu_seconds > 0.0
    assert outcome.seconds > 0.4


def test_connections_of_a_closed_loop_wait_for_their_answers_side_by_side() -> None:
    now, most = [0], [0]

    def slow(*_: object) -> bytes:
        now[0] += 1
        most[0] = max(most[0], now[0])
        time.sleep(0.05)
        now[0] -= 1
        return answer()

    with server(slow) as (port, seen):
        outcome = drive(Plan(port, "/", ["{}"], connections=4, seconds=0.5))
    assert outcome.p50 >= 50.0
    assert outcome.requests == len(seen)
    assert most == [4]


def test_other_answers_and_broken_connections_are_errors_and_no_latencies() -> None:
    def failing(number: int, _: bytes) -> bytes | None:
        return {2: answer("503 Service Unavailable"), 4: None, 5: b"HTTP/1.1 200 OK\r\n\r\n"}.get(number, answer())

    with server(failing) as (port, seen):
        outcome = drive(Plan(port, "/", ["{}"], connections=1, seconds=0.2))
    assert outcome.errors == {"status 503": 1, "connection closed": 1, "an answer without content-length": 1}
    assert outcome.requests == len(seen) - 3


def test_an_answer_in_pieces_is_one_answer() -> None:
    def in_pieces(connection: socket.socket) -> None:
        with connection:
            while connection.recv(65_536):
                for piece in (b"HTTP/1.1 200 OK\r\ncontent-le", b"ngth: 4\r\n\r\nab", b"cd"):
                    connection.sendall(piece)
                    time.sleep(0.01)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=lambda: in_pieces(listening.accept()[0]), daemon=True).start()
        outcome = drive(Plan(listening.getsockname()[1], "/", ["{}"], connections=1, seconds=0.1))
    assert outcome.requests >= 2
    assert outcome.p50 >= 20.0
    assert outcome.errors == {}


def test_silence_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "PATIENCE_SECONDS", 0.1)
    with server(lambda number, _: b"" if number == 1 else answer()) as (port, _):
        outcome = drive(Plan(port, "/", ["{}"], connections=1, seconds=1.0))
    assert outcome.errors == {"no answer after 0 s": 1}
    assert outcome.requests > 1, "by another connection"


def test_where_nothing_listens_it_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    outcome = drive(Plan(port, "/", ["{}"], connections=2, seconds=0.2))
    assert outcome.requests == 0
    assert sum(outcome.errors.values()) == 2


def test_an_open_loop_asks_at_its_rate_and_counts_the_wait_of_those_that_are_late() -> None:
    """20 a second for 1 s at a server that sleeps through the first 300 ms: five wait for it, the others do not."""

    def asleep(number: int, _: bytes) -> bytes:
        time.sleep(0.3 if number == 1 else 0.0)
        return answer()

    with server(asleep) as (port, seen):
        outcome = drive(Plan(port, "/", ["{}"], connections=1, seconds=1.0, rate=20.0, window=0.48))
    assert outcome.requests == len(seen) == 20
    assert outcome.longest >= 300.0
    assert outcome.p99 >= 250.0
    assert [count for count, _, _ in outcome.windows] == [10, 10]
    assert outcome.windows[0][2] >= 300.0
    assert outcome.windows[0][1] >= 49.0, "half of the ten were due while it slept"


def test_quantiles_are_of_what_was_seen() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [quantile(values, share) for share in (0.5, 0.99, 0.991, 1.0)] == [50.0, 99.0, 100.0, 100.0]
    assert quantile([7.0], 0.5) == 7.0
    assert quantile([], 0.5) != quantile([], 0.5), "NaN"
