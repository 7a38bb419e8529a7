"""An empty feature store on either online store."""

from pathlib import Path

import pytest

from feature_repo.store import Store, create_store


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "redis":
        monkeypatch.setenv("NEWSREC_REDIS", request.getfixturevalue("redis_server"))
    else:
        monkeypatch.delenv("NEWSREC_REDIS", raising=False)
    return create_store(tmp_path / "store")
