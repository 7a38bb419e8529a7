"""Deleting from the event log: one reader for good, and what is older than a site keeps, on both databases."""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from newsrec import erasure, event_tables, events, tombstones
from newsrec.erasure import Removed
from newsrec.event_log import AppendResult, EventDatabase
from newsrec.events import EventLog
from newsrec.own_decisions import Encode
from newsrec.tombstones import Tombstones
from tests import test_event_log
from tests.event_rows import NOON, article, event, recommendation

postgres, url, database = test_event_log.postgres, test_event_log.url, test_event_log.database
HOUR = 3_600_000_000


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


def fill(database: EventDatabase) -> None:
    """Two readers, each with a decision an hour for six hours, a click on each, and a click that waits."""
    database.upsert_articles([article("a"), article("b"), article("c")], NOON)
    for hour in range(6):
        for reader in ("ann", "bob"):
            made = recommendation(f"{reader}{hour}", reader, time=NOON + hour * HOUR)
            database.append_recommendations([made], NOON + hour * HOUR)
            time = NOON + hour * HOUR + 5
            sent = [
                event(f"{reader}{hour}", f"{reader}{hour}", reader, time=time),
                event(f"{reader}{hour} waits", f"never made {reader}{hour}", reader, time=time),
            ]
            database.append_feedback(sent, time)


def everything(database: EventDatabase) -> dict[str, list[str]]:
    """Keys of all rows by table, and all text of the database in one list."""
    log = database.export()
    return {
        "recommendations": log.recommendations["request_id"].to_pylist(),
        "feedback": log.feedback["event_id"].to_pylist(),
        "quarantine": [row["event_id"] for row in database.quarantined()],
    }


def test_a_forgotten_reader_is_in_no_table_and_everybody_else_is(database: EventDatabase) -> None:
    fill(database)
    moment, removed = database.forget("ann", NOON + 6 * HOUR)
    assert (moment, removed) == (NOON + 6 * HOUR, Removed(6, 6, 6))
    with database.engine.connect() as connection:
        for table in event_tables.METADATA.sorted_tables:
            rows = [str(dict(row)) for row in connection.execute(sa.select(table)).mappings()]
            assert not [row for row in rows if "ann" in row], table.name
    left = everything(database)
    assert left["recommendations"] == left["feedback"] == [f"bob{hour}" for hour in range(6)]
    assert left["quarantine"] == [f"bob{hour} waits" for hour in range(6)]
    assert database.forget("ann", NOON + 7 * HOUR) == (NOON + 7 * HOUR, Removed(0, 0, 0))
    assert everything(database) == left
    assert database.forget("nobody", NOON)[1] == Removed(0, 0, 0)


def test_what_arrives_late_is_dropped_and_counted_and_whoever_comes_back_is_new(database: EventDatabase) -> None:
    fill(database)
    moment, _ = database.forget("ann", NOON + 6 * HOUR)
    late = [event("late", "ann5", time=moment), event("late, unknown", "x", time=NOON), event("bob's", "bob5", "bob")]
    assert database.append_feedback(late, moment + 9) == AppendResult(1, 0, 0, 2)
    made = [recommendation("late", time=moment), recommendation("back", time=moment + 1)]
    assert database.append_recommendations(made, moment + 9) == 1
    whole = [event_tables.records("recommendations", [row])[0] for row in made]
    assert database.append_decisions(whole, moment + 9, encode) == 0
    back = event("back", "back", time=moment + 2)
    assert database.append_feedback([back], moment + 10) == AppendResult(1, 0, 0)
    assert [row["event_id"] for row in database.feedback_of("ann")] == ["back"]
    assert database.export().recommendations["request_id"].to_pylist()[-1] == "back"
    assert not [row for row in database.quarantined() if row["user_id"] == "ann"]
    assert (database.forgotten_at("ann"), database.forgotten_at("bob")) == (moment, None)


@pytest.mark.parametrize("write", ["recommendations", "decisions"])
def test_a_decision_made_before_and_logged_after_is_dropped(database: EventDatabase, write: str) -> None:
    database.forget("ann", NOON + 1)
    rows = event_tables.records("recommendations", [recommendation("r"), recommendation("q", "bob")])
    encoder: Encode = encode
    if write == "decisions":
        assert database.append_decisions(rows, NOON + 2, encoder) == 1
    else:
        assert database.append_recommendations(rows, NOON + 2) == 1
    assert everything(database)["recommendations"] == ["q"]


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_deletion_that_was_interrupted_is_completed_by_the_next(
    database: EventDatabase, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``step``: which write transaction after the tombstone does not come to its end."""
    monkeypatch.setattr(erasure, "BATCH", 4)
    fill(database)
    count, real = 0, erasure.transaction

    def interrupted(engine: sa.Engine, kind: str) -> object:
        nonlocal count
        count += kind == "write"
        if count == step:
            raise KeyboardInterrupt
        return real(engine, kind)

    monkeypatch.setattr(erasure, "transaction", interrupted)
    with pytest.raises(KeyboardInterrupt):
        database.forget("ann", NOON + 6 * HOUR)
    monkeypatch.setattr(erasure, "transaction", real)
    assert database.append_feedback([event("late", "ann5")], NOON + 7 * HOUR) == AppendResult(0, 0, 0, 1)
    assert database.finish_forgetting("bob") == 1  # somebody's is not finished
    _, removed = database.forget("ann", NOON + 8 * HOUR)
    assert removed == [Removed(6, 6, 6), Removed(2, 2, 6), Removed(0, 0, 6)][step - 1]
    assert not [key for keys in everything(database).values() for key in keys if "ann" in key]
    assert database.finish_forgetting("ann") == 0


def test_the_list_of_the_forgotten_names_nobody_and_differs_by_log(database: EventDatabase, tmp_path: Path) -> None:
    other = EventDatabase(f"sqlite:///{tmp_path / 'other.db'}")
    for log in (database, other):
        log.forget("ann", NOON)
    other.close()
    mine, theirs = database.tombstones(), other.tombstones()
    assert "ann" not in str(mine)
    assert not {*mine.moments} & {*theirs.moments}
    assert not {*next(iter(mine.moments.values()))} & {*next(iter(theirs.moments.values()))}
    tombstones.add(tmp_path, mine)
    tombstones.add(tmp_path, theirs)
    database.forget("ann", NOON + 5)
    tombstones.add(tmp_path, database.tombstones())
    tombstones.add(tmp_path, mine)
    kept = tombstones.read(tmp_path)
    assert kept.moments.keys() == {*mine.moments, *theirs.moments}
    assert kept.forgotten_at("ann") == NOON + 5
    assert kept.forgotten_at("bob") is None


def test_an_old_export_loses_what_is_from_before_the_tombstone(database: EventDatabase) -> None:
    fill(database)
    old = database.export()
    assert Tombstones().without(old) is old
    kept = Tombstones({"salt": {tombstones.reader_hash("ann", "salt"): NOON + 2 * HOUR + 5}}).without(old)
    assert kept.articles is old.articles
    expected = sorted([*(f"bob{hour}" for hour in range(6)), "ann3", "ann4", "ann5"])
    assert sorted(kept.recommendations["request_id"].to_pylist()) == expected
    assert sorted(kept.feedback["event_id"].to_pylist()) == expected
    assert database.forget("ann", NOON) == (NOON + 5 * HOUR + 5, Removed(6, 6, 6))  # the last that had arrived
    assert not [key for keys in everything(database).values() for key in keys if key.startswith("ann")]
    assert set(database.tombstones().without(old).feedback["user_id"].to_pylist()) == {"bob"}


def test_feedback_goes_with_its_decision_however_late_it_came() -> None:
    log = EventLog(
        events.from_rows("articles", [article("b")]),
        events.from_rows("recommendations", [recommendation("r", time=NOON), recommendation("q", time=NOON + 9)]),
        events.from_rows(
            "feedback",
            [event("e", "r", time=NOON + 7, received_at=NOON + 8), event("f", "q", time=NOON + 9, received_at=NOON)],
        ),
    )
    forgotten = Tombstones({"salt": {tombstones.reader_hash("ann", "salt"): NOON + 5}})
    assert forgotten.without(log).feedback["event_id"].to_pylist() == ["f"]


def test_no_byte_of_a_forgotten_reader_stays_in_the_files_of_sqlite(tmp_path: Path) -> None:
    """Neither in freed pages nor in the write-ahead log; long values lie on pages of their own."""
    database = EventDatabase(f"sqlite:///{tmp_path / 'events.db'}")
    name = "ann-who-leaves@example.org"
    many = [f"article-{n:05}" for n in range(500)]
    for number in range(30):
        made = recommendation(f"r{number}", name, session_id=f"{name}/1", candidates=many, slate=many[:9])
        database.append_recommendations([{**made, "propensities": None}], NOON)
        sent = [event(f"{n}-{number}", f"r{number}", name, article_id=many[n]) for n in range(3)]
        database.append_feedback([*sent, event(f"w{number}", "?", name)], NOON)
    before = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert name.encode() in before
    database.forget(name, NOON + 1)
    assert database.flush_deletions()
    after = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert name.encode() not in after
    assert b"article-00499" not in after
    database.close()


def test_only_what_is_older_than_the_bound_goes(database: EventDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "BATCH", 2)
    monkeypatch.setattr(erasure, "SCAN", 3)
    fill(database)
    database.append_feedback([event("late", "ann0", time=NOON + 5 * HOUR)], NOON + 5 * HOUR)
    pauses: list[int] = []
    removed = database.retain(NOON + 3 * HOUR, lambda: pauses.append(database.quarantine_size()))
    assert removed == Removed(6, 7, 6)
    assert len(pauses) > 4
    left = everything(database)
    kept = [f"{reader}{hour}" for hour in range(3, 6) for reader in ("ann", "bob")]
    assert (left["recommendations"], left["feedback"]) == (kept, kept)
    assert left["quarantine"] == [f"{key} waits" for key in kept]
    assert database.articles()[0].num_rows == 3
    assert database.retain(NOON + 3 * HOUR) == Removed(0, 0, 0)
    assert database.append_feedback([event("later", "ann0")], NOON + 9 * HOUR) == AppendResult(0, 0, 1)
