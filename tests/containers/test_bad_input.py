"""What cannot be used: the container says why in one line, in its readiness where it lives on, and the site goes on."""

import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from docker.models.containers import Container

from newsrec import artifact
from newsrec.features import feature_hash
from tests.containers.hardened import writable
from tests.containers.readers import PREDICT, busiest
from tests.containers.site import (
    Site,
    answers,
    base_url,
    event_log_in,
    is_ready,
    log_lines,
    removed,
    stray_lines,
    wait_for,
)
from tests.containers.small_volume import fill, free, small

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1_200)]  # whichever is first builds the images

FOREIGN = "0123456789abcdef"


def test_a_release_of_other_features_is_never_ready_and_the_old_one_serves(site: Site, tmp_path: Path) -> None:
    reader, old = busiest(site.trained, 5), site.trained.release
    other = artifact.save(artifact.load(old.directory)._replace(feature_hash=FOREIGN), tmp_path / "release")
    writable(other)
    with removed(site.start_predictor("other-features", other)) as predictor:
        wait_for(lambda: answers(predictor, "/v2/health/live"))
        ready = httpx.get(f"{base_url(predictor)}/v2/health/ready", timeout=30)
        answer = httpx.post(base_url(predictor) + PREDICT, json=reader.request(5), timeout=30)
        assert (ready.status_code, answer.status_code) == (503, 503)
        health = predictor.exec_run(["python3", "-m", "serving.health"])
        assert health.exit_code == 1
        (logged,) = [line for line in log_lines(predictor) if FOREIGN in line]
        for why in (ready.json()["error"], answer.json()["error"], health.output.decode(), logged):
            assert f"The store has features {feature_hash()}, the artefact expects {FOREIGN}" in why
        assert reader.ask(site, 5)["policy_version"] == old.version


def cut(release: Path) -> None:
    weights = release / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def tamper(release: Path) -> None:
    manifest = json.loads((release / "policy.json").read_text())
    manifest["provenance"]["commit"] = "another"
    (release / "policy.json").write_text(json.dumps(manifest))


def empty(release: Path) -> None:
    shutil.rmtree(release)
    release.mkdir()


def above(release: Path) -> None:
    """As the storage initializer leaves it where STORAGE_URI names the folder of all versions."""
    shutil.copytree(release, release.with_name("copy"))
    empty(release)
    release.with_name("copy").rename(release / "0a1b2c3d4e5f")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        pytest.param(cut, "/mnt/models/weights.safetensors is corrupted: its digest is ", id="cut"),
        pytest.param(tamper, "/mnt/models/policy.json was changed: it says version ", id="tamper"),
        pytest.param(empty, "/mnt/models/policy.json cannot be read (No such file or directory)", id="empty"),
        pytest.param(above, "/mnt/models/policy.json cannot be read (No such file or directory)", id="above"),
    ],
)
def test_a_release_that_is_not_whole_ends_the_predictor_with_one_line_and_the_old_one_serves(
    site: Site, damage: Callable[[Path], None], sentence: str, tmp_path: Path
) -> None:
    release = shutil.copytree(site.trained.release.directory, tmp_path / "release")
    damage(release)
    writable(release)
    with removed(site.start_predictor("not-whole", release)) as predictor:
        assert last_words(predictor).startswith(f"serving: {sentence}")
    assert busiest(site.trained, 5).ask(site, 5)["policy_version"] == site.trained.release.version


def test_a_missing_secret_ends_the_collector_with_one_line(site: Site) -> None:
    file = "/run/secrets/newsrec/reader-key"
    with removed(site.start_collector("no-key", site.event_log, f"--reader-key-file={file}")) as collector:
        why = f"the key of reader ids cannot be read from {file}: No such file or directory"
        assert last_words(collector) == f"serving: {why}"


def test_a_collector_that_finds_no_database_ends_with_one_line(site: Site) -> None:
    with removed(site.start_collector("no-database", "postgresql://newsrec@127.0.0.1/newsrec")) as collector:
        why = last_words(collector)
        assert why.startswith("serving: ")
        assert "Connection refused" in why


def last_words(container: Container) -> str:
    """The one line that ``container`` logged before it ended as a process does that cannot start."""
    assert container.wait(timeout=60)["StatusCode"] == 2
    (line,) = log_lines(container)
    return line


def test_a_full_volume_under_sqlite(site: Site) -> None:
    with removed(site.start_collector("collector-small", "sqlite:////data/events.db", tmpfs=small(96))) as collector:
        full_and_free_again(collector, collector)


def test_a_full_volume_under_postgres(site: Site) -> None:
    with (
        removed(site.start_postgres("postgres-small", tmpfs=small(96))) as postgres,
        removed(site.start_collector("collector-small", event_log_in(postgres))) as collector,
    ):
        full_and_free_again(collector, postgres)


def full_and_free_again(collector: Container, owner: Container) -> None:
    """While /data of ``owner`` is full ``collector`` is not ready, stores nothing, says so; what it took is there."""
    wait_for(lambda: is_ready(collector))
    first, second = batch(), batch()
    stored = {"accepted": 0, "repeated": 0, "quarantined": len(first), "history": "pending"}  # waits for its slate
    assert report(collector, first).json() == stored
    fill(owner)
    wait_for(lambda: not is_ready(collector))
    refused = report(collector, second)
    assert refused.status_code == 503
    assert refused.json() == {"error": "the event log does not answer; nothing was stored, send it again"}
    reasons = [line for line in log_lines(collector) if "the event log does not answer" in line]
    assert reasons
    assert all("full" in why or "No space left on device" in why for why in reasons)
    free(owner)
    wait_for(lambda: is_ready(collector))  # before anything is sent
    assert report(collector, second).json() == stored
    assert report(collector, first + second).json() == {**stored, "repeated": 2 * len(first), "quarantined": 0}
    assert stray_lines(collector) == []


def batch() -> list[dict[str, Any]]:
    """More events than fit into what is left of a page that the database has on disk."""
    event = {"request_id": "r", "user_id": "u", "article_id": "a", "position": 0, "kind": "click", "time": 1}
    return [{**event, "event_id": uuid.uuid4().hex} for _ in range(500)]


def report(collector: Container, events: list[dict[str, Any]]) -> httpx.Response:
    return httpx.post(f"{base_url(collector)}/v1/feedback", json={"events": events}, timeout=60)
