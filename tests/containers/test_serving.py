"""A whole site in containers: slates, feedback, and what happens when a part of it goes away and comes back."""

import time
from pathlib import Path

import httpx
import pytest

from newsrec import events
from tests.containers.conftest import Say
from tests.containers.hardened import writable
from tests.containers.readers import PREDICT, Crowd, articles, busiest, waiting_slates
from tests.containers.site import Site, base_url, is_ready, killed, seconds_to_ready, stray_lines, wait_for

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1_200)]  # whichever is first builds the images

ROTATION_SECONDS = 1.0
"""Between leaving the rotation and SIGTERM: what the pause of preStop is for."""
INGEST = "import sys; from newsrec import ingestion; ingestion.ingest(sys.argv[1], '/out/log')"


def test_only_the_servers_are_published_and_on_127_0_0_1_alone(site: Site) -> None:
    for container in (site.redis, site.postgres, site.collector, *site.predictors):
        container.reload()
        published = [b for found in container.attrs["NetworkSettings"]["Ports"].values() for b in found or ()]
        addresses = [binding["HostIp"] for binding in published]
        assert addresses == ([] if container in (site.redis, site.postgres) else ["127.0.0.1"]), container.name


def test_docker_sees_that_the_servers_are_healthy(site: Site) -> None:
    for container in (site.collector, *site.predictors):
        wait_for(lambda container=container: container.reload() or container.health == "healthy")


def test_a_reader_of_the_log_is_known_and_feedback_changes_the_next_slate(site: Site) -> None:
    reader = busiest(site.trained, 0)
    first = reader.ask(site)
    assert first["policy_version"] == site.trained.release.version
    assert set(articles(first)) == reader.fresh - reader.read
    clicked, answer = reader.click(site, first)
    assert answer == {"accepted": 1, "repeated": 0, "quarantined": 0, "history": "updated"}
    assert set(articles(reader.ask(site))) == reader.fresh - reader.read - {clicked}


def test_slates_go_on_while_redis_is_gone_and_its_readers_come_back_with_it(site: Site) -> None:
    reader = busiest(site.trained, 1)
    before = reader.ask(site)
    assert set(articles(before)) == reader.fresh - reader.read
    with killed(site.redis):
        degraded = reader.ask(site)
        assert degraded["degraded"]
        assert set(articles(degraded)) == reader.fresh  # nobody knows what was read
        clicked, answer = reader.click(site, before)
        assert (answer["accepted"], answer["history"]) == (1, "pending")
        assert is_ready(site.predictors[0])
        assert is_ready(site.collector)
    known = reader.fresh - reader.read - {clicked}
    wait_for(lambda: set(articles(reader.ask(site))) == known)  # predictor and collector came back by themselves
    assert "degraded" not in reader.ask(site)


def test_redis_is_bounded_as_the_manifests_say(site: Site) -> None:
    configured = {"maxmemory": "268435456", "maxmemory-policy": "noeviction", "appendonly": "yes", "save": ""}
    assert {name: redis(site, "config", "get", name) for name in configured} == {
        name: f"{name}\n{value}" for name, value in configured.items()
    }


def test_a_full_redis_forgets_nobody_and_takes_what_it_missed_once_there_is_room(site: Site) -> None:
    reader = busiest(site.trained, 5)
    before, rows = reader.ask(site), redis(site, "dbsize")
    redis(site, "config", "set", "maxmemory", "1")
    try:
        clicked, answer = reader.click(site, before)
        assert (answer["accepted"], answer["history"]) == (1, "pending")
        slate = reader.ask(site)
        assert "degraded" not in slate
        assert set(articles(slate)) == reader.fresh - reader.read  # the history stands still
        assert redis(site, "dbsize") == rows
        assert is_ready(site.collector)
    finally:
        redis(site, "config", "set", "maxmemory", "256mb")
    wait_for(lambda: "newsrec_readers_pending 0.0" in httpx.get(f"{base_url(site.collector)}/metrics").text)
    assert set(articles(reader.ask(site))) == reader.fresh - reader.read - {clicked}


def redis(site: Site, *command: str) -> str:
    """What Redis answers."""
    asked = site.redis.exec_run(["redis-cli", "-e", *command])
    assert asked.exit_code == 0, asked.output.decode()
    return asked.output.decode().removesuffix("\n")


def test_without_postgres_slates_wait_feedback_is_refused_and_all_is_there_when_it_is_back(site: Site) -> None:
    reader = busiest(site.trained, 2)
    slate = reader.ask(site)
    with killed(site.postgres):
        answered = httpx.post(base_url(site.predictors[0]) + PREDICT, json=reader.request(5), timeout=30)
        assert answered.status_code == 200
        assert waiting_slates(site) == 1
        health = httpx.get(f"{base_url(site.collector)}/healthz", timeout=30)
        assert health.status_code == 503
        assert "nothing was stored" in health.json()["error"]
    assert stray_lines(site.collector) == []
    wait_for(lambda: is_ready(site.collector))
    wait_for(lambda: waiting_slates(site) == 0)
    clicked, answer = reader.click(site, slate)
    assert answer["accepted"] == 1
    assert clicked not in articles(reader.ask(site))


def test_a_rolling_restart_under_load_fails_no_request(site: Site, say: Say) -> None:
    """Two predictors restarted one after the other, behind clients that take turns and do as a Service does: a
    predictor gets no new requests from a second before its SIGTERM until it is ready again."""
    reader = busiest(site.trained, 3)
    with Crowd([base_url(predictor) for predictor in site.predictors], reader.request(10)) as crowd:
        for restarted, other in (site.predictors, site.predictors[::-1]):
            crowd.urls = [base_url(other)]
            time.sleep(ROTATION_SECONDS)
            restarted.stop(timeout=30)
            assert restarted.wait()["StatusCode"] == 0
            restarted.start()
            say(f"predictor ready {seconds_to_ready(restarted):.1f} s after its restart under load")
            crowd.urls = [base_url(predictor) for predictor in site.predictors]
            answered = crowd.answered
            wait_for(lambda answered=answered: crowd.answered >= answered + 50)
    say(f"{crowd.answered} slates during a rolling restart, {len(crowd.failures)} failed")
    assert crowd.failures == []


def test_the_event_log_holds_what_the_site_did_and_trains_the_next_policy(site: Site, tmp_path: Path) -> None:
    reader = busiest(site.trained, 4)
    slate = reader.ask(site)
    clicked, _ = reader.click(site, slate)
    user = writable(tmp_path)
    site.run_task(INGEST, f"log:{site.event_log}", volumes={str(tmp_path): {"bind": "/out"}}, user=user)
    log = events.read(tmp_path / "log")
    (decision,) = [r for r in log.recommendations.to_pylist() if r["request_id"] == slate["request_id"]]
    assert decision["slate"] == articles(slate)
    (event,) = [r for r in log.feedback.to_pylist() if r["request_id"] == slate["request_id"]]
    assert (event["article_id"], event["kind"]) == (clicked, "click")
