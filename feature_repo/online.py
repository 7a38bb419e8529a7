"""Feast's SQLite and Redis online stores, made to agree: a row is replaced by a newer one only, whoever writes.

Out of the box SQLite lets the last writer win, and Redis compares first and writes afterwards, so that a
materialisation which read before a collector's write can undo it. Here comparison and write are one step, in both. A
view that is tagged with SAME_MOMENT lets a row of the same moment be replaced, too. ``progress`` is told how many rows
were written.

``read_raw`` reads several views of the same entities in one question: of one moment in SQLite, in one round trip in
Redis. It gives the values as they are stored, serialized Values by feature name, without what is not there.
``write_beside`` writes rows of several views of one entity in one step, each where it is newer.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from sqlite3 import Connection
from typing import Any, Literal, NamedTuple

from feast import FeatureView, RepoConfig
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _mmh3, compute_table_id
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig, extract_text_and_num
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry

from feature_repo.views import EVENT_TIME, SAME_MOMENT

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
Progress = Callable[[int], Any] | None
Raw = dict[str, bytes]
BUSY_SECONDS = 30.0


class Stamped(NamedTuple):
    """An entity's row of one view."""

    table: FeatureView
    values: dict[str, Value]
    """By feature name."""
    time: int
    """Microseconds since 1970."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NewestSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    type: Literal["feature_repo.online.NewestSqliteOnlineStore"] = "feature_repo.online.NewestSqliteOnlineStore"
    busy_seconds: float = BUSY_SECONDS
    """How long a statement waits for a lock."""


class NewestSqliteOnlineStore(SqliteOnlineStore):
    """One SQLite file for several processes and threads: a connection a thread, a write-ahead log, waiting writers."""

    def __init__(self) -> None:
        self._thread = threading.local()
        self._busy_seconds = BUSY_SECONDS

    @property
    def _conn(self) -> Connection | None:
        return getattr(self._thread, "connection", None)

    @_conn.setter
    def _conn(self, connection: Connection | None) -> None:
        self._thread.connection = connection
        if connection is not None:
            connection.execute(f"PRAGMA busy_timeout = {round(self._busy_seconds * 1000)}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # the event log is the truth, this file can be rebuilt
            connection.execute("PRAGMA secure_delete = FAST")  # old rows leave no bytes behind in their pages

    def _get_conn(self, config: RepoConfig) -> Connection:
        self._busy_seconds = config.online_store.busy_seconds
        return super()._get_conn(config)

    def read_raw(
        self, config: RepoConfig, tables: Sequence[FeatureView], keys: Sequence[bytes]
    ) -> list[tuple[Raw, ...]]:
        """For each of ``keys``, serialized, what each of ``tables`` holds."""
        stored = {key: tuple(Raw() for _ in tables) for key in keys}
        among = f"WHERE entity_key IN ({', '.join('?' * len(stored))})"
        names = [compute_table_id(config.project, table, False) for table in tables]
        parts = [f'SELECT {i}, entity_key, feature_name, value FROM "{t}" {among}' for i, t in enumerate(names)]
        found = self._get_conn(config).execute(" UNION ALL ".join(parts), [*stored] * len(tables))
        for table, key, name, value in found:
            stored[key][table][name] = value
        return [stored[key] for key in keys]

    def write_beside(self, config: RepoConfig, key: bytes, rows: Sequence[Stamped]) -> list[bool]:
        """Store the ``rows`` of the entity ``key``, serialized, in one step; of each whether it was newer."""
        connection = self._get_conn(config)
        connection.execute("BEGIN IMMEDIATE")
        try:
            written = [
                _replace(connection, compute_table_id(config.project, row.table, False), key, row) for row in rows
            ]
            connection.commit()
        finally:
            connection.rollback()  # nothing after a commit
        return written

    def erase(self, config: RepoConfig, keys: Sequence[EntityKey]) -> int:
        """Delete the entities from every table, of this and of other code, down to the bytes; how many rows."""
        connection = self._get_conn(config)
        gone = 0
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            named = "SELECT t.name FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c"
            of_entities = f"{named} WHERE t.type = 'table' AND c.name = 'entity_key'"
            for (table,) in connection.execute(of_entities).fetchall():
                for key in map(serialized, keys):
                    held = connection.execute(f'DELETE FROM "{table}" WHERE entity_key = ?', (key,)).rowcount
                    gone += held > 0
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    def online_write_batch(self, config: RepoConfig, table: FeatureView, data: list[Row], progress: Progress) -> None:
        connection = self._get_conn(config)
        connection.execute("BEGIN IMMEDIATE")
        try:
            keys = {row[0].SerializeToString(deterministic=True): row[0] for row in data}
            stored = self.online_read(config, table, list(keys.values()))
            known = zip(keys, (values for _, values in stored), strict=True)
            newest = {key: values[EVENT_TIME].int64_val for key, values in known if values}
            newer, same = [], SAME_MOMENT in table.tags
            for row in data:
                key, time = row[0].SerializeToString(deterministic=True), microseconds(row[2])
                if key not in newest or time > newest[key] - same:
                    newest[key] = time
                    newer.append(row)
            super().online_write_batch(config, table, newer, progress)  # commits
        finally:
            connection.rollback()  # nothing after a commit


def _replace(connection: Connection, name: str, key: bytes, row: Stamped) -> bool:
    """Write ``row`` to the table ``name``, as Feast does, unless a newer one stands there."""
    asked = f'SELECT value FROM "{name}" WHERE entity_key = ? AND feature_name = ?'
    stored = connection.execute(asked, (key, EVENT_TIME)).fetchone()
    if stored and row.time <= Value.FromString(stored[0]).int64_val - (SAME_MOMENT in row.table.tags):
        return False
    time = (_EPOCH + timedelta(microseconds=row.time)).replace(tzinfo=None)
    connection.executemany(
        f'INSERT INTO "{name}" (entity_key, feature_name, value, value_text, event_ts) VALUES (?, ?, ?, ?, ?) '
        "ON CONFLICT (entity_key, feature_name) DO UPDATE SET "
        "value = excluded.value, value_text = excluded.value_text, event_ts = excluded.event_ts, created_ts = NULL",
        [
            (key, feature, value.SerializeToString(), extract_text_and_num(value, False)[0], time)
            for feature, value in row.values.items()
        ],
    )
    return True


class NewestRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    type: Literal["feature_repo.online.NewestRedisOnlineStore"] = "feature_repo.online.NewestRedisOnlineStore"


class NewestRedisOnlineStore(RedisOnlineStore):
    """Feast's layout of hashes, the rows of an entity compared and written by one script on the server.

    A Redis that is down is tried twice, at once, and one that takes too long only once: whoever asks has a fallback
    and no seconds to wait.
    """

    _WRITE_NEWER = """
        local written, at = {}, 1
        while at < #ARGV do
            local last = at + 1 + ARGV[at]
            local stored = redis.call('HGET', KEYS[1], ARGV[at + 2])
            local newer = not stored or tonumber(ARGV[at + 3]) > stored - ARGV[at + 1]
            if newer then redis.call('HSET', KEYS[1], unpack(ARGV, at + 2, last)) end
            written[#written + 1] = newer and 1 or 0
            at = last + 1
        end
        return written
    """
    """For each row: how many of the arguments behind the next are its fields and their values, whether it replaces one
    of the same moment, and these, the moment first."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()
        self._known: dict[tuple[str, ...], tuple[list[tuple[int, str]], list[bytes]]] = {}

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> Redis:
        first = self._client is None
        client = super()._get_client(online_store_config)
        if first:
            client.set_retry(Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)))
        return client

    def read_raw(
        self, config: RepoConfig, tables: Sequence[FeatureView], keys: Sequence[bytes]
    ) -> list[tuple[Raw, ...]]:
        """For each of ``keys``, serialized, what each of ``tables`` holds: all views of an entity are one hash."""
        columns, fields = self._columns(tables)
        project = config.project.encode()
        answers = self._ask(config, [("HMGET", key + project, *fields) for key in keys])
        stored = [tuple(Raw() for _ in tables) for _ in keys]
        for row, values in zip(stored, answers, strict=True):
            for (table, name), value in zip(columns, values, strict=True):
                if value is not None:
                    row[table][name] = value
        return stored

    def _columns(self, tables: Sequence[FeatureView]) -> tuple[list[tuple[int, str]], list[bytes]]:
        """Number of the table and name of each feature, and the fields of a hash that hold them."""
        names = tuple(table.name for table in tables)
        if names not in self._known:
            columns = [(i, field.name) for i, table in enumerate(tables) for field in table.features]
            self._known[names] = columns, [_mmh3(f"{names[i]}:{name}") for i, name in columns]
        return self._known[names]

    def _ask(self, config: RepoConfig, commands: list[tuple[Any, ...]]) -> list[Any]:
        """The answers to ``commands``, over a connection that each thread keeps: a pipeline takes twice as long."""
        connection = getattr(self._thread, "connection", None)
        if connection is None:
            connection = self._thread.connection = self._get_client(
                config.online_store
            ).connection_pool.get_connection()
        for last in (False, True):
            try:
                connection.send_packed_command(connection.pack_commands(commands))
                return [connection.read_response() for _ in commands]
            except BaseException as error:  # what was not read must not answer the next question
                connection.disconnect()
                if last or not isinstance(error, ConnectionError):
                    raise
        raise AssertionError("unreachable")

    def erase(self, config: RepoConfig, keys: Sequence[EntityKey]) -> int:
        """Delete the entities with all their views; how many rows (fields that keep a view's moment)."""
        names = self._generate_redis_keys_for_entities(config, list(keys))
        with self._get_client(config.online_store).pipeline(transaction=True) as pipe:
            for name in names:
                pipe.hkeys(name)
                pipe.delete(name)
            answers = pipe.execute()
        return sum(field.startswith(b"_us:") for fields in answers[::2] for field in fields)

    def online_write_batch(self, config: RepoConfig, table: FeatureView, data: list[Row], progress: Progress) -> None:
        with self._get_client(config.online_store).pipeline(transaction=False) as pipe:
            for key, values, time, _ in data:
                pipe.execute_command(
                    *self._write(config, serialized(key), [Stamped(table, values, microseconds(time))])
                )
            written = sum(sum(answer) for answer in pipe.execute())
        if progress:
            progress(written)

    def write_beside(self, config: RepoConfig, key: bytes, rows: Sequence[Stamped]) -> list[bool]:
        """Store the ``rows`` of the entity ``key``, serialized, in one step; of each whether it was newer."""
        (written,) = self._ask(config, [self._write(config, key, rows)])
        return [bool(newer) for newer in written]

    def _write(self, config: RepoConfig, key: bytes, rows: Sequence[Stamped]) -> tuple[Any, ...]:
        """The command for ``rows`` of one entity."""
        command: list[Any] = ["EVAL", self._WRITE_NEWER, 1, key + config.project.encode()]
        for table, values, time in rows:
            columns, fields = self._columns([table])
            stamp = Timestamp()
            stamp.FromMicroseconds(time)
            written = [f"_us:{table.name}", time, f"_ts:{table.name}", stamp.SerializeToString()]
            for (_, name), field in zip(columns, fields, strict=True):
                if name in values:
                    written += (field, values[name].SerializeToString())
            command += (len(written), int(SAME_MOMENT in table.tags), *written)
        return tuple(command)


def serialized(key: EntityKey) -> bytes:
    """``key`` as both stores have it."""
    return serialize_entity_key(key, entity_key_serialization_version=3)


def microseconds(time: datetime) -> int:
    """Microseconds since 1970; a time without a zone is UTC, as everywhere in Feast."""
    return (time.replace(tzinfo=time.tzinfo or UTC) - _EPOCH) // timedelta(microseconds=1)
