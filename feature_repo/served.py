"""One feature service as serving reads and writes it: plain rows by id, straight through Feast's online store.

Service, view and feature names are resolved once, here; training rows are joined through the same service.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from feast import FeatureService, FeatureStore
from feast.infra.provider import Provider
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Bytes, Float32, Int64
from google.protobuf.message import DecodeError
from redis.exceptions import RedisError

from feature_repo.errors import FeatureStoreMissing
from feature_repo.online import Stamped, serialized
from feature_repo.views import EVENT_TIME

BATCH = 1000
"""Online rows that are converted, read or written at once."""
_SLOTS = {Bytes: "bytes_val", Int64: "int64_val", Float32: "float_val"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Served:
    """The online rows of ``service``. A row is a dictionary of its features and event_timestamp (microseconds)."""

    def __init__(self, feast: FeatureStore, provider: Provider, service: FeatureService) -> None:
        self.service = service
        (projection,) = service.feature_view_projections
        self.view = feast.get_feature_view(projection.name)
        (self.key,) = self.view.join_keys
        self._config, self._provider = feast.config, provider
        self._slots = {field.name: _SLOTS[field.dtype] for field in projection.features}
        self._prefix = serialized(self.entity_key(""))[:-4]
        self.features = [name for name in self._slots if name != EVENT_TIME]

    def read(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """The row of each id, in order; None throughout where there is none. Raises FeatureStoreMissing."""
        rows = self._read(ids, [EVENT_TIME, *self.features])
        return [{"event_timestamp": row.pop(EVENT_TIME), **row} for row in rows]

    def event_times(self, ids: Sequence[str]) -> list[int | None]:
        """Only the event_timestamp of each row. Raises FeatureStoreMissing."""
        return [row[EVENT_TIME] for row in self._read(ids, [EVENT_TIME])]

    def _read(self, ids: Sequence[str], names: list[str]) -> Iterator[dict[str, Any]]:
        for start in range(0, len(ids), BATCH):
            keys = [self.entity_key(i) for i in ids[start : start + BATCH]]
            with self.answering():  # Feast appends to the list of names that it is given
                found = self._provider.online_read(self._config, self.view, keys, list(names))
            for _, values in found:  # by name: stores return features in an order of their own
                yield {name: _python(values, name, self._slots[name]) for name in names}

    def write(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Store rows that also hold their id; how many were newer than what stood there. Raises FeatureStoreMissing."""
        written: list[int] = []
        for start in range(0, len(rows), BATCH):
            batch = []
            for row in rows[start : start + BATCH]:
                time = row["event_timestamp"]
                batch.append((self.entity_key(row[self.key]), self.stamped(row, time).values, moment(time), None))
            with self.answering():
                self._provider.online_write_batch(self._config, self.view, batch, written.append)
        return sum(written)

    def stamped(self, row: Mapping[str, Any], time: int) -> Stamped:
        """The features in ``row`` as the online store takes them, of the moment ``time`` (microseconds)."""
        values = {name: _value(time if name == EVENT_TIME else row[name], slot) for name, slot in self._slots.items()}
        return Stamped(self.view, values, time)

    def write_beside(self, entity_id: str, rows: Sequence[Stamped]) -> list[bool]:
        """Store rows of one entity in one step; of each whether it was newer. Raises FeatureStoreMissing."""
        with self.answering():
            return self._provider.online_store.write_beside(self._config, self._serialized(entity_id), rows)

    def beside(self, other: "Served", ids: Sequence[str]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """The rows of this view and of ``other`` for each id, read in one question. Raises FeatureStoreMissing."""
        for start in range(0, len(ids), BATCH):
            keys = [self._serialized(i) for i in ids[start : start + BATCH]]
            with self.answering():
                found = self._provider.online_store.read_raw(self._config, (self.view, other.view), keys)
            for mine, others in found:
                yield self._parsed(mine), other._parsed(others)

    def _parsed(self, raw: Mapping[str, bytes]) -> dict[str, Any]:
        """As ``read`` gives it. Raises ValueError for bytes that hold no value."""
        row: dict[str, Any] = {"event_timestamp": None}
        for name, slot in self._slots.items():
            value = raw.get(name)  # a null is stored as nothing at all
            try:
                row[name] = getattr(Value.FromString(value), slot) if value else None
            except DecodeError as error:
                raise ValueError(f"{self.view.name}.{name} holds no value of Feast: {error}") from None
        row["event_timestamp"] = row.pop(EVENT_TIME)
        return row

    def entity_key(self, entity_id: str) -> EntityKey:
        return EntityKey(join_keys=[self.key], entity_values=[Value(string_val=entity_id)])

    def _serialized(self, entity_id: str) -> bytes:
        """``entity_key`` as both stores have it: what stands in front of every id, its length and the id."""
        value = entity_id.encode()
        return self._prefix + len(value).to_bytes(4, "little") + value

    @contextmanager
    def answering(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, sqlite3.Error) as error:
            store = self._config.online_store
            where = getattr(store, "connection_string", None) or store.path
            raise FeatureStoreMissing(f"the online store {where} does not answer: {error}") from error


def moment(time: int) -> datetime:
    """Microseconds since 1970 as a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=time)


def _value(value: Any, slot: str) -> Value:
    return Value() if value is None else Value(**{slot: value})


def _python(values: Mapping[str, Value] | None, name: str, slot: str) -> Any:
    value = values.get(name) if values else None
    return getattr(value, slot) if value is not None and value.WhichOneof("val") else None
