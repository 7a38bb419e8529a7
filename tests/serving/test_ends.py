"""How a predictor ends under load: SIGTERM lets every request end that has begun, and SIGKILL takes little along."""

import re
import signal
import threading
import time
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from newsrec.event_log import EventDatabase
from serving.server import GRACE_SECONDS
from tests.serving.conftest import Process, Site, answers, serving, start, wait_for
from tests.serving.test_predictor import V1

pytestmark = pytest.mark.usefixtures("warm")
CLIENTS = 8


class Answered(NamedTuple):
    began: float
    """As ended: by the monotonic clock, seconds."""
    ended: float
    status: int
    request_id: str


class Load:
    """Clients that ask one after the other until the server no longer answers."""

    def __init__(self, server: Process) -> None:
        self._url = server.http.base_url
        self.answered: list[Answered] = []
        self.failed: list[float] = []
        """When the requests began that got no answer."""
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _ask(self, number: int) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as http:
            while not self.failed:
                began = time.monotonic()
                try:
                    answer = http.post(V1, json={"instances": [{"user_id": f"reader-{number}", "k": 5}]})
                except httpx.TransportError:
                    self.failed.append(began)
                    return
                request = answer.json()["predictions"][0]["request_id"] if answer.status_code == 200 else ""
                self.answered.append(Answered(began, time.monotonic(), answer.status_code, request))

    def until(self, count: int) -> None:
        """Until so many requests have been answered."""
        wait_for(lambda: len(self.answered) >= count)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


@pytest.fixture
def server(site: Site, tmp_path: Path) -> Process:
    """With an event log of its own."""
    return launch(site, tmp_path, "predictor")


def launch(site: Site, folder: Path, name: str) -> Process:
    options = [f"--store={site.store}", f"--event-log=sqlite:///{folder / 'events.db'}"]
    return start(folder, name, f"--artifact={site.folder / 'artifact'}", *options)


def logged(folder: Path) -> set[str]:
    database = EventDatabase(f"sqlite:///{folder / 'events.db'}")
    requests = database.export().recommendations["request_id"].to_pylist()
    database.close()
    return set(requests)


def test_sigterm_lets_every_request_end_that_has_begun_and_every_slate_be_logged(
    server: Process, tmp_path: Path
) -> None:
    with serving(server):
        load = Load(server)
        load.until(20 * CLIENTS)
        signalled = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(GRACE_SECONDS + 20) == 0
        load.join()
    assert {answer.status for answer in load.answered} == {200}
    assert all(began > signalled for began in load.failed)
    assert logged(tmp_path) == {answer.request_id for answer in load.answered}
    assert "Traceback" not in server.log.read_text()


def test_sigkill_takes_only_the_latest_slates_along_and_the_next_start_counts_them(
    server: Process, site: Site, tmp_path: Path
) -> None:
    wait_for(lambda: answers(server))
    load = Load(server)
    load.until(20 * CLIENTS)
    server.process.kill()
    killed = time.monotonic()
    server.process.wait()
    load.join()
    server.http.close()
    there = logged(tmp_path)
    missing = [answer for answer in load.answered if answer.request_id not in there]
    assert all(killed - answer.ended < 5.0 for answer in missing)  # 0.1 where nobody else uses the machine
    again = launch(site, tmp_path, "again")
    with serving(again):
        found = re.search(r"^newsrec_slates_lost_total (\S+)$", again.http.get("/metrics").text, re.MULTILINE)
        assert found
    put_and_not_answered = float(found[1]) - len(missing)
    assert 0 <= put_and_not_answered <= CLIENTS
    if float(found[1]):
        assert f"{float(found[1]):.0f} slates that a predictor had answered when it died" in again.log.read_text()
    print(f"{len(missing)} missing, the oldest of {max([0.0, *(killed - a.ended for a in missing)]):.3f} s")
