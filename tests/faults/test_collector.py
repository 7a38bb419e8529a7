"""The collector ends under load, and its event log has no room for a while."""

import resource
import signal
import time
from pathlib import Path

import pytest

from newsrec.event_log import EventDatabase
from serving.server import GRACE_SECONDS
from tests.faults.conftest import Traffic, once_each
from tests.serving.conftest import Process, answers, make_site, serving, start, wait_for
from tests.serving.test_predictor import V1

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def events(url: str) -> list[str]:
    """Ids of the events of readers who clicked, as often as the log and its quarantine hold them."""
    database = EventDatabase(url)
    stored = [*database.export().feedback["event_id"].to_pylist(), *(row["event_id"] for row in database.quarantined())]
    database.close()
    return [event for event in stored if event.startswith("reader-")]


def both(folder: Path) -> tuple[Process, Process, str]:
    site = make_site(folder / "site", "popularity")
    predictor = start(folder, "predictor", f"--artifact={site.folder / 'releases'}", *site.options)
    return predictor, start(folder, "collector", "collector", *site.options), site.event_log


def test_sigterm_under_load_acknowledges_what_it_stored_and_ends_in_time(tmp_path: Path) -> None:
    predictor, collector, event_log = both(tmp_path)
    with serving(predictor):
        wait_for(lambda: answers(collector))
        with Traffic(predictor, collector, readers=8) as traffic:
            traffic.more(20, acknowledged=20)
            began = time.monotonic()
            collector.process.send_signal(signal.SIGTERM)
            assert collector.process.wait(GRACE_SECONDS + 5) == 0
            assert time.monotonic() - began < GRACE_SECONDS + 5
            wait_for(lambda: len(traffic.wrong) == 8)  # nobody listens any more
    assert all(why.startswith(("ConnectError", "RemoteProtocolError", "ReadError")) for why in traffic.wrong)
    assert set(traffic.feedback) == {200}
    once_each(events(event_log), traffic.acknowledged)
    assert "Traceback" not in collector.log.read_text()


def test_a_disk_without_room_refuses_feedback_and_slates_in_words_and_goes_on_when_there_is_some(
    tmp_path: Path,
) -> None:
    """No file of the two processes may grow for a while, which is what a full disk does to SQLite."""
    predictor, collector, event_log = both(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with serving(predictor, collector), Traffic(predictor, collector) as traffic:
        traffic.more(20, acknowledged=8)
        for server in (predictor, collector):
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4_096, limits[1]))
        wait_for(lambda: 503 in traffic.feedback, 60)
        stored = len(traffic.acknowledged)
        assert collector.http.get("/healthz").status_code == 503
        answer = predictor.http.post(V1, json={"instances": [{"user_id": "reader-0", "k": 3}]})
        assert answer.status_code == 200  # slates wait in memory
        for server in (predictor, collector):
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)
        traffic.more(8, acknowledged=8)
        assert len(traffic.acknowledged) > stored
        wait_for(lambda: predictor.http.get("/v2/health/ready").status_code == 200, 60)
        assert collector.http.get("/healthz").status_code == 200
    assert traffic.wrong == []
    once_each(events(event_log), traffic.acknowledged)
    database = EventDatabase(event_log)
    requests = database.export().recommendations["request_id"].to_pylist()
    database.close()
    assert len(set(requests)) == len(requests) >= sum(slate.logged for slate in traffic.slates)
