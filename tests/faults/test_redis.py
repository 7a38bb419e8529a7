"""The online store is paused, killed and filled while readers ask and click."""

import re
from pathlib import Path

import pytest

from newsrec.event_log import EventDatabase
from tests.faults.conftest import Redis, Traffic, once_each
from tests.serving.conftest import Process, make_site, serving, start, wait_for
from tests.serving.test_predictor import ask

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def count(server: Process, name: str) -> float:
    found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", server.http.get("/metrics").text, re.MULTILINE)
    return sum(map(float, found))


def test_slates_and_feedback_go_on_whatever_happens_to_redis(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEWSREC_REDIS", f"127.0.0.1:{redis.port}")
    site = make_site(tmp_path / "site", width=16, layers=1)
    predictor = start(tmp_path, "predictor", f"--artifact={site.folder / 'releases'}", *site.options)
    collector = start(tmp_path, "collector", "collector", *site.options)
    with serving(predictor, collector), Traffic(predictor, collector) as traffic:
        assert not any(slate.degraded for slate in traffic.more(20, acknowledged=4))

        for broken, mended in ((redis.pause, redis.go_on), (redis.kill, redis.start)):
            broken()
            traffic.more(4, acknowledged=4)  # of requests that were on their way, or opened the circuit
            during = traffic.more(40, acknowledged=8)
            assert {slate.status for slate in during} == {200}
            assert all(slate.degraded and slate.cold for slate in during)
            assert count(predictor, "newsrec_degraded_slates_total") >= 40
            mended()
            wait_for(lambda: not any(slate.degraded for slate in traffic.more(20)), 60)

        redis.limit(1)
        during = traffic.more(40, acknowledged=8)
        assert {slate.status for slate in during} == {200}
        wait_for(lambda: count(collector, "newsrec_readers_pending") > 0, 60)
        redis.limit(0)
        wait_for(lambda: count(collector, "newsrec_readers_pending") == 0, 60)
        traffic.more(20, acknowledged=4)
        wait_for(lambda: not ask(predictor, user_id=traffic.latest)["cold"], 60)  # histories are written again
    assert traffic.wrong == []
    assert set(traffic.feedback) == {200}
    database = EventDatabase(site.event_log)
    log = database.export()
    database.close()
    once_each(
        [event for event in log.feedback["event_id"].to_pylist() if event.startswith("reader-")], traffic.acknowledged
    )
    requests = log.recommendations["request_id"].to_pylist()
    assert len(set(requests)) == len(requests) >= sum(slate.logged for slate in traffic.slates)
    for server in (predictor, collector):
        lines = server.log.read_text()
        assert "Traceback" not in lines
        assert "reader-" not in lines  # who it happened to is nobody's business
    said = [line for line in predictor.log.read_text().splitlines() if "readers are served as unknown" in line]
    assert len(said) >= 2  # once an outage, with the name of a request that met it
    assert all(re.search(r"\[request [0-9a-f]{32}\]$", line) for line in said)
