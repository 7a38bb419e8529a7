"""A collector that has its releases from the object store, as in a cluster: the first one comes while it is running."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from newsrec import releases
from serving.backends import Backends
from serving.collector import create_app
from serving.commands.opening import tower_of
from serving.mirror import Mirror
from tests.serving.conftest import Site, wait_for
from tests.serving.test_nearline import found
from tests.serving.test_start import one_line, run
from tests.test_deployment import PREFIX, STORAGE, bucket, contents, s3_url

__all__ = ["bucket", "s3_url"]


@pytest.fixture
def mirror(bucket: Any, backends: Backends, tmp_path: Path) -> Iterator[Mirror]:
    made = Mirror(STORAGE, tmp_path / "models", lambda root: tower_of(root, backends))
    yield made
    made.stop()


def publish(bucket: Any, root: Path) -> str:
    """Put what is current in ``root`` into the object store, as a deployment does; its version."""
    release = releases.current(root)
    assert release is not None
    for name, content in contents(release.directory).items():
        bucket.Object(f"{PREFIX}/{release.version}/{name}").put(Body=content)
    bucket.Object(f"{PREFIX}/CURRENT").put(Body=(root / "CURRENT").read_bytes())
    return release.version


def read(collector: TestClient, backends: Backends, number: int) -> None:
    """Kim reads an article, and the row knows; the slate never was."""
    slate = {"request_id": f"r{number}", "user_id": "kim", "time": backends.clock(), "session_id": "s"}
    slate |= {"candidates": ["a01"], "slate": ["a01"], "propensities": [1.0], "policy": "p", "policy_version": "v"}
    backends.database.append_recommendations([slate | {"feature_version": "f"}], backends.clock())
    event = {"event_id": f"e{number}", "request_id": f"r{number}", "user_id": "kim", "kind": "click"}
    answer = collector.post("/v1/feedback", json={"events": [event | {"article_id": "a01"}]})
    assert answer.json()["history"] == "updated", answer.text


def test_readers_have_vectors_from_the_first_release_on(
    site: Site, bucket: Any, backends: Backends, mirror: Mirror, tmp_path: Path
) -> None:
    root = tmp_path / "releases"
    shutil.copytree(site.folder / "releases", root)
    with TestClient(create_app(backends, tower=mirror)) as collector:
        mirror.look()
        read(collector, backends, 1)
        assert found(backends.store, "kim") is None
        first = publish(bucket, root)
        mirror.look()
        read(collector, backends, 2)
        vector = found(backends.store, "kim")
        assert vector is not None
        assert vector.policy_version == first.encode()


def test_without_the_object_store_feedback_is_taken_and_the_release_goes_on(
    site: Site,
    bucket: Any,
    backends: Backends,
    mirror: Mirror,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish(bucket, site.folder / "releases")
    mirror.look()
    bucket.Object(f"{PREFIX}/CURRENT").put(Body=b"{")
    mirror.look()
    mirror.look()
    assert [record.levelname for record in caplog.records if record.name == "serving.mirror"] == ["WARNING"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    mirror.look()
    with TestClient(create_app(backends, tower=mirror)) as collector:
        read(collector, backends, 1)
    assert found(backends.store, "kim") is not None


def test_the_thread_looks_by_itself(site: Site, bucket: Any, mirror: Mirror) -> None:
    publish(bucket, site.folder / "releases")
    mirror.start()
    wait_for(lambda: mirror._tower is not None)
    mirror.stop()
    assert not any(thread.is_alive() for thread in (mirror, *mirror._threads))


def test_a_storage_without_a_folder_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "collector", f"--storage={STORAGE}", *site.options, "--port=0") == 2
    assert "name one by --artifact" in one_line(capfd)
