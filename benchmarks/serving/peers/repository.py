"""The peers' feature store: a stock Feast repository with the same rows as ours, served by ``feast serve``.

``reader`` has our reader's features, ``article`` twenty numbers, the six that the policy reads and as many more as the
bars were set with, and the content vector as an array of floats, Feast's own type for embeddings. Nothing of our own
stores is in it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Array, Bytes, FeastType, Float32, Int64

from benchmarks.serving.processes import HOST
from newsrec.features import ARTICLE_FEATURES, READER_FEATURES, Feature, unpack_embedding

PUSH, EMBEDDING = "reader_push", "embedding"
NUMBERS = 20
MORE = tuple(f"number_{n:02}" for n in range(NUMBERS - len(ARTICLE_FEATURES) + 1))
READER_REFS = [f"reader:{feature.name}" for feature in READER_FEATURES]
ARTICLE_REFS = [f"article:{feature.name}" for feature in ARTICLE_FEATURES] + [f"article:{name}" for name in MORE]
Rows = Mapping[str, Mapping[str, Any]]
"""Id -> features."""
_TYPES = {"bytes": Bytes, "int64": Int64, "float32": Float32}


def create(folder: Path, redis: str | None) -> FeatureStore:
    """An empty repository in ``folder``; online in ``redis``, PORT/DATABASE on this machine, or in SQLite."""
    folder.mkdir(parents=True)
    online = f"type: sqlite\n  path: {folder / 'online.db'}"
    if redis:
        port, _, database = redis.partition("/")
        online = f"type: redis\n  connection_string: {HOST}:{port},db={database}"
    (folder / "feature_store.yaml").write_text(
        f"project: peers\nprovider: local\nregistry: {folder / 'registry.db'}\nonline_store:\n  {online}\n"
        "offline_store:\n  type: duckdb\nentity_key_serialization_version: 3\n"
    )
    reader = Entity(name="reader", join_keys=["user_id"], value_type=ValueType.STRING)
    article = Entity(name="article", join_keys=["article_id"], value_type=ValueType.STRING)
    store = FeatureStore(repo_path=str(folder))
    pushed = PushSource(name=PUSH, batch_source=_source(folder, "reader"))
    store.apply([reader, article, _view("reader", reader, READER_FEATURES, (), pushed)])
    store.apply([_view("article", article, ARTICLE_FEATURES, MORE, _source(folder, "article"))])
    return store


def _source(folder: Path, name: str) -> FileSource:
    return FileSource(name=f"{name}_batch", path=str(folder / f"{name}.parquet"), timestamp_field="event_timestamp")


def _view(
    name: str, entity: Entity, features: Sequence[Feature], more: Sequence[str], source: FileSource | PushSource
) -> FeatureView:
    fields = [Field(name=feature.name, dtype=_type(feature)) for feature in features]
    schema = fields + [Field(name=name, dtype=Float32) for name in more]
    return FeatureView(name=name, entities=[entity], schema=schema, source=source, online=True)


def _type(feature: Feature) -> FeastType:
    return Array(Float32) if feature.name == EMBEDDING else _TYPES[feature.dtype]


def write(store: FeatureStore, readers: Rows, articles: Rows) -> None:
    """Store rows of both kinds."""
    if readers:
        store.write_to_online_store("reader", frame("user_id", readers))
    whole = {}
    for article, row in articles.items():
        content = {EMBEDDING: unpack_embedding(row[EMBEDDING]).tolist()}
        whole[article] = {**row, **content, **dict.fromkeys(MORE, 0.123456)}
    store.write_to_online_store("article", frame("article_id", whole))


def frame(key: str, rows: Rows) -> pd.DataFrame:
    """As Feast writes and pushes rows: a column a feature, the ids under ``key``, and when."""
    table = pd.DataFrame([{key: name, **row} for name, row in rows.items()])
    table["event_timestamp"] = datetime.now(UTC)
    return table
