"""An empty feature store: on either online store, or on SQLite where the test is about something else."""

from pathlib import Path

import pytest

from feature_repo.store import Store, create_store


@pytest.fixture
def sqlite_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("NEWSREC_REDIS", raising=False)
    return create_store(tmp_path / "store")


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "sqlite":
        return request.getfixturevalue("sqlite_store")
    monkeypatch.setenv("NEWSREC_REDIS", request.getfixturevalue("redis_server"))
    return create_store(tmp_path / "store")
