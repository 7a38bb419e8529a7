"""A reader who is forgotten is gone from every place of a feature store, and no write brings them back."""

import sqlite3
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from redis import Redis

from feature_repo import erasure
from feature_repo.erasure import alone
from feature_repo.served import moment
from feature_repo.store import Forgotten, ReaderVector, Store, create_store
from newsrec import dataset, tombstones
from newsrec.events import EventLog, microseconds
from newsrec.features import HOUR
from newsrec.tombstones import Tombstones, reader_hash
from tests.feature_repo.logs import START, random_log

END = START + 1000 * HOUR
ANN = "reader 2"


@pytest.fixture(scope="module")
def log() -> EventLog:
    return random_log(np.random.default_rng(0))


def tombstone(until: int = END) -> Tombstones:
    return Tombstones({"salt": {reader_hash(ANN, "salt"): until}})


def others(table: pa.Table) -> pa.Table:
    return table.filter(pc.not_equal(table["user_id"], ANN))


def offline(store: Store) -> pa.Table:
    (path,) = (store.root / "offline").glob("reader_v*.parquet")
    return pq.read_table(path)


def test_every_view_of_the_reader_goes_and_nothing_else(store: Store, log: EventLog) -> None:
    store.write_offline(log)
    store.materialize(moment(END))
    ids = sorted(set(log.feedback["user_id"].to_pylist()))
    for user in ids:
        stamp = store.readers([user])[0]["event_timestamp"]
        assert store.write_vector(user, ReaderVector(b"1234", b"version", 5), stamp)
    articles = log.articles["article_id"].to_pylist()
    before, rows, content = offline(store), dict(zip(ids, store.readers(ids), strict=True)), store.articles(articles)
    lost = before.num_rows - others(before).num_rows
    assert lost > 1
    assert store.forget_readers([ANN], tombstone()) == Forgotten(lost, 2)
    assert offline(store).equals(others(before))
    assert offline(store).schema == before.schema
    rows[ANN] = dict.fromkeys(rows[ANN])
    assert dict(zip(ids, store.readers(ids), strict=True)) == rows
    assert store.articles(articles) == content
    known = {user for user, (_, vector) in zip(ids, store.readers_and_vectors(ids), strict=True) if vector}
    assert known == {*ids} - {ANN}
    assert store.forget_readers([ANN], tombstone()) == Forgotten(0, 0)


def test_no_back_fill_brings_the_reader_back(sqlite_store: Store, log: EventLog, tmp_path: Path) -> None:
    """The same old log is written and joined again."""
    sqlite_store.write_offline(log)
    sqlite_store.forget_readers([ANN], tombstone())
    sqlite_store.write_offline(log)
    assert ANN not in offline(sqlite_store)["user_id"].to_pylist()
    sqlite_store.materialize(moment(END))
    assert sqlite_store.readers([ANN])[0]["event_timestamp"] is None
    rows = sqlite_store.training_rows(log, tmp_path / "rows")
    for name in ("log/recommendations", "log/feedback", "readers"):
        table = pq.read_table(rows / f"{name}.parquet")
        assert table.num_rows > 0
        assert ANN not in table["user_id"].to_pylist()
    assert len(dataset.read(rows)) == others(log.recommendations).num_rows


def test_who_comes_back_begins_anew(sqlite_store: Store, log: EventLog) -> None:
    times = np.sort(microseconds(log.recommendations["time"].filter(pc.equal(log.recommendations["user_id"], ANN))))
    sqlite_store.write_offline(log)
    before = offline(sqlite_store)
    sqlite_store.forget_readers([ANN], tombstone(int(times[len(times) // 2])))
    sqlite_store.write_offline(log)
    mine, old = (table.filter(pc.equal(table["user_id"], ANN)) for table in (offline(sqlite_store), before))
    assert 0 < mine.num_rows < old.num_rows
    assert pc.max(mine["reads"]).as_py() < pc.max(old["reads"]).as_py()


def test_what_an_interrupted_writer_left_goes_too(sqlite_store: Store, log: EventLog) -> None:
    sqlite_store.write_offline(log)
    left = [sqlite_store.root / ".offline.12345678", sqlite_store.root / ".offline.12345678.old"]
    for folder in left:
        folder.mkdir()
        pq.write_table(offline(sqlite_store), folder / "reader_v2.parquet")
    left.append(sqlite_store.root / "offline" / ".reader_v2.parquet.12345678")
    pq.write_table(offline(sqlite_store), left[-1])
    sqlite_store.forget_readers([ANN], tombstone())
    assert not [path for path in left if path.exists()]
    assert offline(sqlite_store).num_rows > 0


@pytest.mark.parametrize("step", ["erase_offline", "rewriting", "erase_readers"])
def test_a_deletion_that_was_interrupted_is_completed_by_the_next(
    sqlite_store: Store, log: EventLog, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    sqlite_store.write_offline(log)
    sqlite_store.materialize(moment(END))
    before = offline(sqlite_store)
    where = {"erase_offline": "feature_repo.store.erase_offline", "rewriting": "feature_repo.erasure.pq.ParquetWriter"}
    with monkeypatch.context() as patch:
        patch.setattr(where.get(step, f"feature_repo.store.Store.{step}"), interrupted)
        with pytest.raises(KeyboardInterrupt):
            sqlite_store.forget_readers([ANN], tombstone())
    assert offline(sqlite_store).equals(others(before) if step == "erase_readers" else before)
    assert tombstones.read(sqlite_store.root) == tombstone()
    sqlite_store.forget_readers([ANN], tombstone())
    assert offline(sqlite_store).equals(others(before))
    assert sqlite_store.readers([ANN])[0]["event_timestamp"] is None


def test_a_deletion_waits_for_whoever_writes_offline_rows(
    sqlite_store: Store, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that has looked at the tombstones already finishes first, so that nothing it wrote is left."""
    sqlite_store.write_offline(log)
    looked, forgotten, real = threading.Event(), threading.Event(), tombstones.read

    def look(root: Path) -> Tombstones:
        found = real(root)
        looked.set()
        assert not forgotten.wait(0.3), "the deletion did not wait"
        return found

    monkeypatch.setattr("feature_repo.store.tombstones.read", look)
    writer = threading.Thread(target=sqlite_store.write_offline, args=(log,))
    writer.start()
    looked.wait()
    monkeypatch.setattr("feature_repo.store.tombstones.read", real)
    sqlite_store.forget_readers([ANN], tombstone())
    forgotten.set()
    writer.join()
    assert ANN not in offline(sqlite_store)["user_id"].to_pylist()


def test_the_lock_is_given_back_by_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), alone(tmp_path):
        raise RuntimeError
    with alone(tmp_path):
        pass


def test_row_groups_without_the_reader_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "offline").mkdir()
    path = tmp_path / "offline" / "reader_v9.parquet"
    table = pa.table({"user_id": [*"abcdef"], "number": range(6)})
    pq.write_table(table, path, row_group_size=2)
    assert erasure.erase_offline(tmp_path, "user_id", ["d", "x"]) == 1
    assert pq.read_table(path).to_pydict() == {"user_id": [*"abcef"], "number": [0, 1, 2, 4, 5]}
    inode = path.stat().st_ino
    assert erasure.erase_offline(tmp_path, "user_id", ["x"]) == 0
    assert path.stat().st_ino == inode


def test_no_byte_of_the_reader_stays_in_the_files_of_sqlite(sqlite_store: Store, log: EventLog) -> None:
    sqlite_store.write_offline(log)
    name = "ann-who-leaves@example.org"
    row = {"history": b"x" * 700, "shown": b"y" * 90, "reads": 1, "sessions": 1, "last_day": 1, "last_seen": 1}
    for number in range(9):  # rows that grow and shrink leave cells behind
        history = bytes([65 + number]) * (200 if number % 2 else 2000)
        sqlite_store.write_reader(name, {**dict.fromkeys(_names(sqlite_store)), **row, "history": history}, number)
    files = [*sqlite_store.root.glob("online_store.db*")]
    assert name.encode() in b"".join(path.read_bytes() for path in files)
    sqlite_store.erase_readers([name])
    assert name.encode() not in b"".join(path.read_bytes() for path in files if path.exists())
    with sqlite3.connect(sqlite_store.root / "online_store.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_redis_holds_no_key_of_the_reader(
    tmp_path: Path, redis_server: str, monkeypatch: pytest.MonkeyPatch, log: EventLog
) -> None:
    monkeypatch.setenv("NEWSREC_REDIS", redis_server)
    store = create_store(tmp_path / "store")
    store.write_offline(log)
    store.materialize(moment(END))
    host, port = redis_server.split(":")
    with Redis(host, int(port)) as client:
        keys = set(client.scan_iter())
        rest = {key for key in keys if ANN.encode() not in key}
        assert len(keys) == len(rest) + 1
        store.forget_readers([ANN], tombstone())
        assert set(client.scan_iter()) == rest


def _names(store: Store) -> list[str]:
    return [name for name in store.readers(["nobody"])[0] if name != "event_timestamp"]
