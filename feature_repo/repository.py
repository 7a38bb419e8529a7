"""The embedded Feast repository in a folder: where it keeps what, and the definitions that are applied to it."""

import os
from pathlib import Path
from typing import Any

from feast import FeatureStore, RepoConfig
from sqlalchemy.exc import DatabaseError

from feature_repo.entities import ARTICLE, READER
from feature_repo.errors import FeatureStoreMismatch, FeatureStoreMissing
from feature_repo.online import BUSY_SECONDS
from feature_repo.served import BATCH
from feature_repo.services import service
from feature_repo.views import HASH_TAG, article_view, reader_slate_view, reader_vector_view, reader_view
from newsrec.features import feature_hash

PROJECT = "newsrec"
REDIS_TIMEOUT_SECONDS = 2


def apply(root: Path) -> None:
    """Bring the repository in ``root`` up to this code's definitions; an empty folder becomes one.

    Raises FeatureStoreMismatch where a view of this version holds other features.
    """
    root.mkdir(parents=True, exist_ok=True)
    feast = connect(root)
    offline = str(root / "offline")
    views = {
        "reader": reader_view(offline),
        "article": article_view(offline),
        "reader_vector": reader_vector_view(offline),
        "reader_slate": reader_slate_view(offline),
    }
    names = {view.name for view in views.values()}
    for stored in feast.list_feature_views():
        if stored.name in names:
            refuse_other_hash(root, stored.tags.get(HASH_TAG))
    services = [service(name, view) for name, view in views.items()]
    feast.apply([READER, ARTICLE, *views.values(), *services])


def connect(root: Path, timeout_seconds: float | None = None) -> FeatureStore:
    """Feast on the repository in ``root``. Raises FeatureStoreMissing.

    The online store is given up after ``timeout_seconds``; without them after REDIS_TIMEOUT_SECONDS, or in SQLite
    BUSY_SECONDS of waiting for a lock.
    """
    feast = FeatureStore(config=_config(root, timeout_seconds))
    try:
        feast.refresh_registry()
    except DatabaseError as error:
        raise FeatureStoreMissing(f"{root / 'registry.db'} is no Feast registry: {error.orig}") from None
    return feast


def refuse_other_hash(root: Path, stored: str | None) -> None:
    """Raise FeatureStoreMismatch where ``stored`` is not this code's feature hash."""
    if stored != feature_hash():
        found = f"the feature store in {root} was made for features {stored}, this code has {feature_hash()}"
        raise FeatureStoreMismatch(f"{found}; make a new store with this code, or run the code that made this one")


def _config(root: Path, timeout_seconds: float | None) -> RepoConfig:
    redis = os.environ.get("NEWSREC_REDIS")
    online: dict[str, Any] = {"path": str(root / "online_store.db"), "busy_seconds": timeout_seconds or BUSY_SECONDS}
    online["type"] = "feature_repo.online.NewestSqliteOnlineStore"
    if redis:
        host, _, port = redis.rpartition(":")
        if not host or not port.isdecimal() or set(host) & set("@/,"):
            found = "***" if "@" in redis else redis  # what stands there may be a password
            raise FeatureStoreMissing(f"NEWSREC_REDIS is {found!r}, expected host:port")
        seconds = timeout_seconds or REDIS_TIMEOUT_SECONDS
        address = f"{redis},socket_timeout={seconds},socket_connect_timeout={seconds}"
        online = {"type": "feature_repo.online.NewestRedisOnlineStore", "connection_string": address}
    return RepoConfig(
        project=PROJECT,
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{root / 'registry.db'}"},
        offline_store={"type": "duckdb"},
        online_store=online,
        materialization={"online_write_batch_size": BATCH},
        entity_key_serialization_version=3,
        repo_path=root,
    )
