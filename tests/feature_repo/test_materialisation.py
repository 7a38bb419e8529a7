"""Materialisation moves what lags, keeps what is newer, and says what is missing when an engine only claims success."""

import sqlite3

import numpy as np
import pytest

from feature_repo.errors import MaterialisationFailed
from feature_repo.served import moment
from feature_repo.store import Store
from newsrec import events
from newsrec.events import EventLog, microseconds
from newsrec.features import HOUR
from newsrec.snapshots import article_snapshots, reader_snapshots
from tests.feature_repo.logs import START, random_log
from tests.feature_repo.test_online import READER

END = moment(START + 1000 * HOUR)


@pytest.fixture(scope="module")
def log() -> EventLog:
    return random_log(np.random.default_rng(2))


def latest_rows(log: EventLog, until: int, key: str = "user_id") -> dict[str, dict]:
    """Each reader's (or article's) last snapshot up to ``until``, found by going through all of them."""
    snapshots = reader_snapshots(log) if key == "user_id" else article_snapshots(log)
    stamps = microseconds(snapshots["event_timestamp"]).tolist()
    rows = [row | {"event_timestamp": time} for row, time in zip(snapshots.to_pylist(), stamps, strict=True)]
    return {row.pop(key): row for row in rows if row["event_timestamp"] <= until}


def online(store: Store, users: list[str]) -> dict[str, dict]:
    return dict(zip(users, store.readers(users), strict=True))


def test_steps_move_only_what_changed(store: Store, log: EventLog) -> None:
    """Two steps give the rows of one; the second counts the readers and articles with rows between the two moments."""
    store.write_offline(log)
    middle = int(np.quantile(microseconds(log.feedback["received_at"]), 0.8))
    early, late = latest_rows(log, middle), latest_rows(log, START + 1000 * HOUR)
    first = store.materialize(moment(middle))
    assert online(store, list(early)) == early
    second = store.materialize(END)
    assert online(store, list(late)) == late
    assert (first.readers, second.readers, second.articles) == (len(early), len(late), 12)
    changed = 0
    for key in ("user_id", "article_id"):
        early, late = latest_rows(log, middle, key), latest_rows(log, START + 1000 * HOUR, key)
        changed += sum(row != early.get(name) for name, row in late.items())
    assert 0 < changed < second.readers + second.articles
    assert second.moved == changed
    assert store.materialize(END).moved == 0


def test_collector_was_faster(store: Store, log: EventLog) -> None:
    """A newer row that the collector wrote stays, an older one goes, and both count as present."""
    store.write_offline(log)
    rows = latest_rows(log, START + 1000 * HOUR)
    newer, same, older = list(rows)[:3]
    store.write_reader(newer, READER, rows[newer]["event_timestamp"] + 1)
    store.write_reader(same, READER, rows[same]["event_timestamp"])
    store.write_reader(older, READER, rows[older]["event_timestamp"] - 1)
    done = store.materialize(END)
    assert (done.readers, done.moved) == (len(rows), len(rows) - 2 + 12)
    found = online(store, list(rows))
    assert found[newer] == READER | {"event_timestamp": rows[newer]["event_timestamp"] + 1}
    assert found[same] == READER | {"event_timestamp": rows[same]["event_timestamp"]}
    assert found[older] == rows[older]


def test_emptied_online_store_is_filled_again(store: Store, log: EventLog) -> None:
    """The registry may say that all was moved long ago; what counts is what stands there."""
    store.write_offline(log)
    whole = store.materialize(END)
    if store._feast.config.online_store.type.endswith("RedisOnlineStore"):
        from redis import Redis

        host, port = store._feast.config.online_store.connection_string.split(",")[0].split(":")
        Redis(host, int(port)).flushall()
    else:
        with sqlite3.connect(store.root / "online_store.db") as database:
            database.execute("DELETE FROM newsrec_reader_v2")
            database.execute("DELETE FROM newsrec_article_v2")
    assert store.materialize(END) == whole
    rows = latest_rows(log, START + 1000 * HOUR)
    assert online(store, list(rows)) == rows


def test_more_readers_than_one_batch(store: Store) -> None:
    log = random_log(np.random.default_rng(3), requests=1)
    request = log.recommendations.to_pylist()[0]
    requests = [request | {"request_id": f"r{i}", "user_id": f"u{i}"} for i in range(2300)]
    click = {"article_id": request["slate"][0], "kind": "click", "time": request["time"]}
    clicks = [
        click | {"event_id": f"e{i}", "request_id": f"r{i}", "user_id": f"u{i}", "received_at": START + i * HOUR}
        for i in range(2300)
    ]
    tables = {"recommendations": requests, "feedback": clicks}
    store.write_offline(log._replace(**{name: events.from_rows(name, rows) for name, rows in tables.items()}))
    done = store.materialize(moment(START + 2200 * HOUR))
    assert done.readers == 2201
    stamps = [row["event_timestamp"] for row in store.readers([f"u{i}" for i in range(2300)])]
    assert stamps == [START + i * HOUR if i <= 2200 else None for i in range(2300)]


def test_a_row_that_was_not_written(sqlite_store: Store, log: EventLog) -> None:
    """The engine reports success, one reader's row is not there: the message says which and how many of how many."""
    sqlite_store.write_offline(log)
    rows = latest_rows(log, START + 1000 * HOUR)
    lost, stale = sorted(rows)[1:3]
    sqlite_store.write_reader(stale, READER, START - 1)
    with sqlite3.connect(sqlite_store.root / "online_store.db") as database:
        for user in (lost, stale):
            key = f"instr(NEW.entity_key, CAST('{user}' AS BLOB))"
            ignore = f"ON newsrec_reader_v2 WHEN {key} BEGIN SELECT RAISE(IGNORE); END"
            database.execute(f"CREATE TRIGGER '{user} insert' BEFORE INSERT {ignore}")
            database.execute(f"CREATE TRIGGER '{user} update' BEFORE UPDATE {ignore}")
    with pytest.raises(MaterialisationFailed) as failure:
        sqlite_store.materialize(END)
    wanted = moment(rows[lost]["event_timestamp"])
    expected = f"2 of {len(rows)} rows of reader_v2 are missing or too old online, first user_id '{lost}': found none"
    assert str(failure.value) == f"{expected}, expected one of {wanted}"
    with sqlite3.connect(sqlite_store.root / "online_store.db") as database:
        database.execute(f"DROP TRIGGER '{lost} insert'")
        database.execute(f"DROP TRIGGER '{lost} update'")
    with pytest.raises(MaterialisationFailed, match=f"^1 of .* first user_id '{stale}': found one of 2023-11-14"):
        sqlite_store.materialize(END)


def test_nothing_to_serve(store: Store, log: EventLog) -> None:
    store.write_offline(log)
    with pytest.raises(MaterialisationFailed, match="no article has an offline row up to 2001"):
        store.materialize(moment(10**15))
