"""The event log on SQLite and on PostgreSQL: what it promises to writers, to pollers and after a crash."""

import glob
import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from newsrec import event_tables, events
from newsrec.config import InvalidConfig
from newsrec.event_log import AppendResult, EventDatabase
from newsrec.quarantine import UNKNOWN_REQUEST
from tests.conftest import ROOT, unavailable
from tests.event_rows import NOON, article, event, recommendation
from tests.full_disk import full


def stored(database: EventDatabase) -> dict[str, tuple[str, int]]:
    """event_id -> (request_id, received_at) of all readable feedback."""
    feedback = database.export().feedback
    columns = (feedback["event_id"].to_pylist(), feedback["request_id"].to_pylist())
    received = events.microseconds(feedback["received_at"]).tolist()
    return {e: (r, t) for e, r, t in zip(*columns, received, strict=True)}


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server: NEWSREC_TEST_POSTGRES, or one started here from Debian's package."""
    if url := os.environ.get("NEWSREC_TEST_POSTGRES"):
        yield url
        return
    binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not binaries:
        unavailable("postgres", "no server: set NEWSREC_TEST_POSTGRES, or install it below /usr/lib/postgresql/*/bin")
    user = "nobody" if os.geteuid() == 0 else None  # the server refuses to run as root
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as probe:
        if user:
            subprocess.run(["chown", user, folder], check=True)
        port = probe.getsockname()[1]
        probe.close()
        data = f"{folder}/data"
        initdb = [f"{binaries[-1]}/initdb", "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync"]
        if int(Path(binaries[-1]).parent.name) >= 15:  # a language's order, so that bytes' order is really asked for
            initdb += ["--locale-provider=icu", "--icu-locale=en"]
        subprocess.run(initdb, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)
        options = ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", folder, "-c", "fsync=off"]
        server = subprocess.Popen([f"{binaries[-1]}/postgres", "-D", data, *options], user=user, cwd=folder)
        ready = [f"{binaries[-1]}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port), "-t", "1"]
        try:
            while subprocess.run(ready, check=False).returncode != 0:
                assert server.poll() is None, "the PostgreSQL server ended while it started"
            yield f"postgresql://test@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of its own for each test."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/events.db"
        return
    base = sa.make_url(request.getfixturevalue("postgres")).set(drivername="postgresql+psycopg")
    name = f"newsrec_{os.getpid()}_{tmp_path.name.lower()}"[:63]
    admin = sa.create_engine(base, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    yield base.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    admin.dispose()


@pytest.fixture
def database(url: str) -> Iterator[EventDatabase]:
    database = EventDatabase(url)
    yield database
    database.close()


def test_what_is_appended_is_exported_value_for_value(database: EventDatabase, tmp_path: Path) -> None:
    context = {"device": "phone", "surface": "home", "locale": "ko-KR", "utc_offset_minutes": 540}
    full = recommendation("r1", context=context, arm="b", propensities=[0.1, 1 / 3], policy_version="7", experiment="x")
    bare = recommendation("r0", propensities=None)
    database.append_recommendations([full, bare], NOON)
    dwell = event("e1", "r1", kind="dwell", dwell_seconds=2.7)
    leave = event("e0", "r0", kind="leave", article_id=None, position=None)
    assert database.append_feedback([dwell, leave], NOON + 9) == AppendResult(2, 0, 0)
    titled = article("b", title='뉴스 – it\'s "news"', embedding=[0.1, -3.0], body_length=12, hidden_at=NOON + 1)
    database.upsert_articles([titled, article("a")], NOON)

    log = database.export()
    assert log.recommendations.equals(
        events.validate(events.from_rows("recommendations", [bare, full]), "recommendations")
    )
    expected = [leave | {"received_at": NOON + 10}, dwell | {"received_at": NOON + 9}]
    assert log.feedback.equals(events.validate(events.from_rows("feedback", expected[::-1]), "feedback"))
    assert log.articles.equals(events.validate(events.from_rows("articles", [article("a"), titled]), "articles"))
    assert events.read(events.write(log, tmp_path / "log")).feedback.equals(log.feedback)


def test_a_repeated_append_changes_nothing(database: EventDatabase) -> None:
    assert database.append_recommendations([recommendation("r"), recommendation("r", arm="other")], NOON) == 1
    assert database.append_recommendations([recommendation("r", policy="other"), recommendation("q")], NOON) == 1
    assert database.append_feedback([event("e"), event("e", kind="like")], NOON) == AppendResult(1, 1, 0)
    before = database.export()
    assert database.append_feedback([event("e", kind="share"), event("e", "q")], NOON + 7) == AppendResult(0, 2, 0)
    assert database.export().feedback.equals(before.feedback)
    assert before.feedback["kind"].to_pylist() == ["click"]
    assert before.recommendations.select(["request_id", "policy", "arm"]).to_pylist() == [
        {"request_id": "q", "policy": "popularity", "arm": None},
        {"request_id": "r", "policy": "popularity", "arm": None},
    ]


def encoded(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def complete(request_id: str, **more: object) -> dict:
    return dict.fromkeys(events.SCHEMAS["recommendations"].names) | recommendation(request_id, **more)


def test_own_decisions_are_stored_as_foreign_ones_are(url: str, database: EventDatabase) -> None:
    context = {"device": "탭", "surface": None, "locale": 'it\'s "x"', "utc_offset_minutes": -60}
    rows = [
        complete("r1", context=context, arm="b", propensities=[0.1, 1 / 3], experiment="x", candidates=["é", "b", "a"]),
        complete("r0", propensities=None, slate=[], candidates=[]),
    ]
    assert database.append_decisions(rows, NOON, encoded) == 2
    found = database.export().recommendations
    assert found.equals(events.validate(events.from_rows("recommendations", rows[::-1]), "recommendations"))
    nulls = "SELECT count(*) FROM recommendations WHERE context IS NULL AND propensities IS NULL AND arm IS NULL"
    with database.engine.begin() as connection:
        assert connection.scalar(sa.text(nulls)) == 1


def test_an_own_decision_again_changes_nothing(database: EventDatabase) -> None:
    rows = [complete("r", arm="first"), complete("r", arm="second"), complete("q")]
    assert database.append_decisions(rows, NOON, encoded) == 2
    assert database.append_decisions([complete("q", arm="third"), complete("s")], NOON, encoded) == 1
    assert database.append_decisions([], NOON, encoded) == 0
    assert database.export().recommendations["request_id"].to_pylist() == ["q", "r", "s"]
    assert database.export().recommendations["arm"].to_pylist() == [None, "first", None]


def test_an_own_decision_releases_the_feedback_that_waits_for_it_alone(database: EventDatabase) -> None:
    assert database.append_feedback([event("e2"), event("e1"), event("other", "never")], NOON).quarantined == 3
    assert database.append_decisions([complete("r"), complete("q")], NOON + 60, encoded) == 2
    assert stored(database) == {"e1": ("r", NOON + 60), "e2": ("r", NOON + 61)}
    assert [row["event_id"] for row in database.quarantined()] == ["other"]


def test_of_own_decisions_all_are_stored_or_none(database: EventDatabase) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        database.append_decisions([complete("r"), complete("q", user_id=None)], NOON, encoded)
    assert database.export().recommendations.num_rows == 0


def test_received_at_rises_strictly_for_each_reader_whatever_the_clock_does(database: EventDatabase) -> None:
    database.append_recommendations([recommendation("r"), recommendation("q", "bob")], NOON)
    database.append_feedback([event("e1"), event("f1", "q", "bob"), event("e2")], NOON)
    database.append_feedback([event("e3"), event("f2", "q", "bob")], NOON - 1_000_000)
    database.append_feedback([event("e4")], NOON + 1_000_000)
    received = {key: moment - NOON for key, (_, moment) in stored(database).items()}
    assert received == {"e1": 0, "e2": 1, "e3": 2, "e4": 1_000_000, "f1": 0, "f2": 1}


def test_calls_in_one_commit_become_what_each_would_have_become(database: EventDatabase, tmp_path: Path) -> None:
    """New, repeated in the call and in another one, waiting, forgotten: the same counts and the same log."""
    calls = [
        [event("1"), event("2"), event("1")],
        [event("2"), event("3", "later"), event("4", user_id="bob")],
        [event("old", time=NOON - 1), event("5"), event("3", "later")],
        [],
        [event("6", "other", "bob")],
    ]
    alone = EventDatabase(f"sqlite:///{tmp_path / 'alone.db'}")
    for log in (database, alone):
        log.forget("ann", NOON)
        log.append_recommendations([recommendation("r", time=NOON + 1), recommendation("other", "bob")], NOON + 1)
        log.append_feedback([event("5")], NOON + 6)
    found = database.append_feedback_calls(calls, NOON + 9)
    assert found == [alone.append_feedback(rows, NOON + 9) for rows in calls]
    assert found[2] == AppendResult(0, 2, 0, 1)
    assert database.export().feedback.equals(alone.export().feedback)
    assert database.quarantined() == alone.quarantined()
    with pytest.raises(events.InvalidEvents):
        database.append_feedback_calls([[event("7")], [event("8", kind="dance")]], NOON + 10)
    assert database.export().feedback.equals(alone.export().feedback)
    alone.close()


def test_feedback_of_an_unknown_request_waits_and_is_released_by_its_recommendation(database: EventDatabase) -> None:
    database.append_recommendations([recommendation("q")], NOON)
    early = [event("e2"), event("e1"), event("other", "never"), event("known", "q")]
    assert database.append_feedback(early, NOON) == AppendResult(1, 0, 3)
    assert database.append_feedback([event("e1"), event("e2", "q")], NOON + 1) == AppendResult(0, 2, 0)
    assert stored(database) == {"known": ("q", NOON)}
    waiting = database.quarantined()
    assert [(row["event_id"], row["reason"], row["received_at"]) for row in waiting] == [
        (key, UNKNOWN_REQUEST, NOON) for key in ("e1", "e2", "other")
    ]

    assert database.append_recommendations([recommendation("r")], NOON + 60) == 1
    assert stored(database) == {"known": ("q", NOON), "e1": ("r", NOON + 60), "e2": ("r", NOON + 61)}
    assert [row["event_id"] for row in database.quarantined()] == ["other"]
    assert database.quarantine_size() == 1
    assert database.append_feedback([event("e1"), event("e3")], NOON) == AppendResult(1, 1, 0)
    assert stored(database)["e3"] == ("r", NOON + 62)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([event("e1"), event("e2", kind="klick")], "feedback row 1, column kind: found 'klick'"),
        ([event("e1"), event("e1"), event("e2", position=-1)], "feedback row 2, column position: found -1"),
        ([event("e1"), event("e2", user_id=7)], "feedback row 1, column user_id: found 7, expected string"),
        ([event("e1", position=40_000)], "feedback row 0, column position: found 40000, expected int16"),
        ([event("e1", time=2**70)], "feedback row 0, column time"),
        ([event("e1", time=None)], "feedback row 0, column time: found None, expected a value"),
        ([event("e1"), event("")], "feedback row 1, column event_id: found '', expected text .* of 1 to 512 bytes"),
        (
            [event("e1"), event("e2", article_id="a\0b")],
            r"feedback row 1, column article_id: .* expected text without NUL",
        ),
        ([event("e1"), event("é" * 257)], "feedback row 1, column event_id: .* of 1 to 512 bytes"),
        ([event("e1"), event("\ud800")], "feedback row 1, column event_id"),
    ],
)
def test_a_bad_row_is_named_and_nothing_of_its_batch_is_written(
    database: EventDatabase, rows: list[dict], message: str
) -> None:
    database.append_recommendations([recommendation("r")], NOON)
    with pytest.raises(events.InvalidEvents, match=message):
        database.append_feedback(rows, NOON)
    assert stored(database) == {}
    assert database.quarantine_size() == 0


def test_the_longest_identifier_fits_every_index(database: EventDatabase) -> None:
    longest = "é" * 256
    database.append_recommendations([recommendation("r", user_id=longest)], NOON)
    assert database.append_feedback([event(longest, user_id=longest)], NOON).accepted == 1
    assert [row["event_id"] for row in database.feedback_of(longest)] == [longest]


def test_newer_content_replaces_and_only_changes_are_polled(database: EventDatabase) -> None:
    assert database.articles() == (events.validate(events.from_rows("articles", []), "articles"), None)
    first = [article("a", title="one", embedding=[0.1, 0.2]), article("b")]
    assert database.upsert_articles(first, NOON) == 2
    table, seen = database.articles()
    assert (table["article_id"].to_pylist(), seen) == (["a", "b"], NOON)

    assert database.upsert_articles(first, NOON + 50) == 0
    assert database.articles(seen)[0].num_rows == 0
    assert database.articles(seen)[1] == seen

    changed = [article("a", title="wrong"), article("b"), article("a", title="two", embedding=[0.1, 0.2])]
    assert database.upsert_articles(changed, NOON - 50) == 1
    table, later = database.articles(seen)
    assert table.select(["article_id", "title"]).to_pylist() == [{"article_id": "a", "title": "two"}]
    assert later == NOON + 1
    assert database.articles()[0].num_rows == 2


def test_a_withdrawn_article_stays_withdrawn(database: EventDatabase) -> None:
    database.upsert_articles([article("a"), article("b", hidden_at=NOON + 500)], NOON)
    seen = database.articles()[1]
    assert database.hide_article("a", NOON + 10)
    assert database.hide_article("a", NOON + 20)
    assert database.hide_article("b", NOON + 20)
    assert not database.hide_article("nowhere", NOON)
    database.upsert_articles([article("a", title="again"), article("b", hidden_at=NOON + 900)], NOON + 30)
    table, _ = database.articles(seen)
    assert table["title"].to_pylist() == [None, "again"]
    assert events.microseconds(table["hidden_at"]).tolist() == [NOON + 20, NOON + 10]


def test_embeddings_of_another_width_are_refused(database: EventDatabase) -> None:
    database.upsert_articles([article("a", embedding=[1.0, 2.0]), article("b")], NOON)
    with pytest.raises(events.InvalidEvents, match="article c, column embedding: found 3 numbers, expected 2"):
        database.upsert_articles([article("b", title="new"), article("c", embedding=[1.0, 2.0, 3.0])], NOON)
    assert database.articles()[0]["title"].to_pylist() == [None, None]


def test_a_readers_feedback_comes_in_the_order_of_arrival_with_the_readers_clock(database: EventDatabase) -> None:
    seoul = recommendation("r", context={"utc_offset_minutes": 540})
    somewhere = recommendation("q", context={"device": "phone"})
    database.append_recommendations([seoul, somewhere, recommendation("p"), recommendation("o", "bob")], NOON)
    database.append_feedback([event("z"), event("y", "q"), event("x", "o", "bob")], NOON)
    database.append_feedback([event("a", "p", kind="dwell", dwell_seconds=1.5, time=NOON - 9)], NOON + 3)
    rows = database.feedback_of("ann")
    assert [(row["event_id"], row["received_at"], row["utc_offset_minutes"]) for row in rows] == [
        ("z", NOON, 540),
        ("y", NOON + 1, None),
        ("a", NOON + 3, None),
    ]
    expected = event("a", "p", kind="dwell", dwell_seconds=1.5, time=NOON - 9, received_at=NOON + 3)
    assert rows[-1] == expected | {"utc_offset_minutes": None}
    assert [row["event_id"] for row in database.feedback_of("ann", received_after=NOON)] == ["y", "a"]
    assert database.feedback_of("nobody") == []


def test_an_export_knows_only_what_had_been_received(database: EventDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_tables, "SCAN_ROWS", 2)
    database.append_recommendations([recommendation(f"r{day}", time=NOON + day) for day in range(5)], NOON)
    for day in range(5):
        database.append_feedback([event(f"e{day}", f"r{day}"), event(f"late{day}", "r0")], NOON + 10 * day)

    def keys(log: events.EventLog) -> tuple[list[str], list[str]]:
        return log.recommendations["request_id"].to_pylist(), log.feedback["event_id"].to_pylist()

    everything = keys(database.export())
    assert everything == (
        ["r0", "r1", "r2", "r3", "r4"],
        ["e0", "late0", "e1", "late1", "e2", "late2", "e3", "late3", "e4", "late4"],
    )
    assert keys(database.export(received_before=NOON + 3)) == (["r0", "r1", "r2"], ["e0", "late0"])
    assert keys(database.export(received_before=NOON + 20)) == (everything[0], ["e0", "late0", "e1", "late1"])
    assert keys(database.export(since=NOON + 3)) == (["r3", "r4"], ["e3", "e4"])
    assert keys(database.export(NOON + 40, since=NOON + 1)) == (["r1", "r2", "r3", "r4"], ["e1", "e2", "e3"])


def test_the_watermark_moves_when_an_export_would_change(database: EventDatabase) -> None:
    assert database.watermark() == {"articles": [0, None], "recommendations": [0, None], "feedback": [0, None]}
    rows = [article("a")], [recommendation("r", time=NOON + 1)], [event("e")]
    for _ in range(2):
        database.upsert_articles(rows[0], NOON)
        database.append_recommendations(rows[1], NOON)
        database.append_feedback([*rows[2], event("early", "unknown")], NOON + 2)
        expected = {"articles": [1, NOON], "recommendations": [1, NOON + 1], "feedback": [1, NOON + 2]}
        assert database.watermark() == expected
    database.hide_article("a", NOON + 3)
    assert database.watermark() == expected | {"articles": [1, NOON + 3]}


def test_both_databases_order_by_bytes(database: EventDatabase) -> None:
    database.upsert_articles([article(key) for key in ("é", "b", "_", "B", "a")], NOON)
    assert database.articles()[0]["article_id"].to_pylist() == ["B", "_", "a", "b", "é"]


def test_a_batch_may_hold_more_events_than_a_statement_has_parameters(database: EventDatabase) -> None:
    database.append_recommendations([recommendation("r")], NOON)
    rows = [event(f"e{number}") for number in range(33_000)]
    assert database.append_feedback(rows, NOON) == AppendResult(33_000, 0, 0)
    assert database.append_feedback(rows, NOON) == AppendResult(0, 33_000, 0)
    assert database.feedback_of("ann")[-1]["received_at"] == NOON + 32_999


@pytest.mark.parametrize("url", ["events.db", "sqlite://", "sqlite:///:memory:", "mysql://host/name"], indirect=False)
def test_a_database_that_cannot_serve_is_refused_with_what_is_expected(url: str) -> None:
    with pytest.raises(InvalidConfig, match="expected sqlite:///FILE or postgresql://USER@HOST/NAME"):
        EventDatabase(url)


def test_sqlite_flushes_each_commit_to_the_disk(tmp_path: Path) -> None:
    database = EventDatabase(f"sqlite:///{tmp_path}/new/folder/events.db")
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    database.close()


OWNERS = {"p": "x", "q": "x", "r": "y", "s": "y"}
"""Whose request it is."""
CALLS = st.lists(
    st.tuples(
        st.one_of(
            st.lists(st.sampled_from("pqrs"), max_size=3),
            st.lists(st.tuples(st.integers(0, 9), st.sampled_from("pqrs"), st.sampled_from("xy")), max_size=6),
        ),
        st.integers(NOON - 5, NOON + 5),
    ),
    max_size=8,
)


@pytest.mark.parametrize("early", [False, True])
def test_feedback_that_does_not_fit_its_slate_never_reaches_a_history(database: EventDatabase, early: bool) -> None:
    rows = [event("own"), event("stolen", user_id="bob"), event("unseen", article_id="c")]
    rows += [event("left", kind="leave", article_id=None)]
    made = [recommendation("r")]
    if not early:
        database.append_recommendations(made, NOON)
    database.append_feedback(rows, NOON + 1)
    if early:
        database.append_recommendations(made, NOON + 2)
    assert {row["event_id"] for row in database.feedback_of("ann")} == {"own", "left"}
    assert database.feedback_of("bob") == []
    assert {row["event_id"]: row["reason"] for row in database.quarantined()} == {
        "stolen": "the request is another reader's",
        "unseen": "the article was not in the slate",
    }
    assert database.append_feedback(rows, NOON + 3) == AppendResult(0, 4, 0)


def test_reads_since_a_moment(database: EventDatabase) -> None:
    articles = [f"a{i}" for i in range(60)]
    database.append_recommendations([recommendation("r", candidates=articles, slate=articles, propensities=None)], NOON)
    rows = [event(f"e{i}", article_id=a, time=NOON + i) for i, a in enumerate(articles)]
    rows += [event("seen", article_id="a0", kind="impression", time=NOON + 99)]
    database.append_feedback(rows, NOON + 100)
    assert sorted(database.read_since("ann", NOON + 5)) == sorted(articles[5:])
    assert database.read_since("bob", 0) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_any_order_of_batches_ends_as_the_rules_say(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Against a model of a few lines: first one wins, unknown requests wait, others' stay out, stamps rise."""
    address = f"sqlite:///{tmp_path}/events.db" if kind == "sqlite" else request.getfixturevalue("postgres")
    database = EventDatabase(address)

    @settings(max_examples=40, deadline=None)
    @given(CALLS)
    def check(calls: list) -> None:
        with database.engine.begin() as connection:
            for table in event_tables.METADATA.sorted_tables:
                connection.execute(table.delete())
        known: set[str] = set()
        accepted: dict[str, tuple[str, int]] = {}
        waiting: dict[str, tuple[str, str, int]] = {}
        last: dict[str, int] = {}

        def accept(key: str, request_id: str, reader: str, now: int) -> None:
            last[reader] = max(now, last.get(reader, 0) + 1)
            accepted[key] = (request_id, last[reader])

        for rows, now in calls:
            if rows and isinstance(rows[0], str):
                new = set(rows) - known
                made = [recommendation(row, OWNERS[row]) for row in rows]
                assert database.append_recommendations(made, now) == len(new)
                known |= new
                for key in sorted(waiting, key=lambda key: (waiting[key][2], key)):
                    if waiting[key][0] in new and OWNERS[waiting[key][0]] == waiting[key][1]:
                        accept(key, *waiting.pop(key)[:2], now)
                continue
            before = len(accepted), len(waiting)
            for number, request_id, reader in rows:
                key = f"e{number}"
                if key not in accepted and key not in waiting:
                    if request_id in known and OWNERS[request_id] == reader:
                        accept(key, request_id, reader, now)
                    else:
                        waiting[key] = (request_id, reader, now)
            new, held = len(accepted) - before[0], len(waiting) - before[1]
            result = database.append_feedback([event(f"e{n}", r, u) for n, r, u in rows], now)
            assert result == AppendResult(new, len(rows) - new - held, held)
        assert stored(database) == accepted
        assert {row["event_id"]: row["request_id"] for row in database.quarantined()} == {
            key: request_id for key, (request_id, _, _) in waiting.items()
        }

    check()
    database.close()


WORKER = """
import sys
from newsrec.event_log import EventDatabase
from tests.event_rows import NOON, article, event, recommendation
from tests.full_disk import full
print("ready", flush=True)
sys.stdin.readline()
database = EventDatabase(sys.argv[1])
"""


Worker = Callable[..., subprocess.Popen]


@pytest.fixture
def worker(python: Path) -> Worker:
    def start(url: str, body: str, *arguments: str) -> subprocess.Popen:
        """A process that opens the database once it is told to (a line on its input) and then runs ``body``."""
        command = [python, "-c", WORKER + body, url, *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    return start


def together(*processes: subprocess.Popen) -> list[str]:
    """What the processes print when they all start at once; each must end well."""
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return printed


def test_a_killed_writer_loses_nothing_that_it_acknowledged_and_leaves_no_half_batch(url: str, worker: Worker) -> None:
    body = """
for batch in range(10**6):
    name = f"{sys.argv[2]}-{batch}"
    database.append_recommendations([recommendation(name)], NOON)
    database.append_feedback([event(f"{name}-{n}", name) for n in range(200)], NOON + batch)
    print(batch, flush=True)
"""
    for life in range(2):
        process = worker(url, body, str(life))
        process.stdin.write("go\n")
        process.stdin.flush()
        acknowledged = [int(process.stdout.readline()) for _ in range(3 + 4 * life)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().split()]
        process.wait()
        database = EventDatabase(url)
        batches: dict[str, set[str]] = {}
        for key, (request_id, _) in stored(database).items():
            batches.setdefault(request_id, set()).add(key)
        database.close()
        assert {f"{life}-{batch}" for batch in acknowledged} <= set(batches)
        for name, keys in batches.items():
            assert keys == {f"{name}-{n}" for n in range(200)}


def test_two_processes_that_append_the_same_events_store_each_once(url: str, worker: Worker) -> None:
    body = """
step = int(sys.argv[2])
written = accepted = 0
for batch in list(range(40))[::step]:
    written += database.append_recommendations([recommendation(f"r{batch}"), recommendation(f"q{batch}")], NOON)
    accepted += database.append_feedback([event(f"e{batch}-{n}", f"r{batch}") for n in range(25)], NOON).accepted
print(written, accepted)
"""
    counts = [line.split() for line in together(worker(url, body, "1"), worker(url, body, "-1"))]
    assert sum(int(written) for written, _ in counts) == 80
    assert sum(int(accepted) for _, accepted in counts) == 1000
    database = EventDatabase(url)
    received = [moment for _, moment in stored(database).values()]
    database.close()
    assert sorted(received) == list(range(NOON, NOON + 1000))


def test_no_event_stays_in_quarantine_when_it_races_with_its_recommendation(url: str, worker: Worker) -> None:
    collector = 'for n in range(80): database.append_feedback([event(f"e{n}", f"r{n}")], NOON)'
    predictor = 'for n in range(80): database.append_recommendations([recommendation(f"r{n}")], NOON)'
    together(worker(url, collector), worker(url, predictor))
    database = EventDatabase(url)
    assert database.quarantine_size() == 0
    assert set(stored(database)) == {f"e{n}" for n in range(80)}
    database.close()


def test_asking_whether_it_takes_writes_leaves_nothing_behind(database: EventDatabase) -> None:
    tables = sa.inspect(database.engine).get_table_names()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: database.check_writable(), range(8)))
    assert sa.inspect(database.engine).get_table_names() == tables


def test_a_full_database_does_not_take_writes_until_there_is_room(tmp_path: Path) -> None:
    database = EventDatabase(f"sqlite:///{tmp_path}/events.db")
    with full(database), pytest.raises(sa.exc.OperationalError, match="database or disk is full"):
        database.check_writable()
    database.check_writable()
    database.close()


def test_a_new_database_may_be_opened_by_many_at_once(url: str) -> None:
    barrier = Barrier(6)

    def first_use(reader: int) -> int:
        barrier.wait()
        database = EventDatabase(url)
        written = database.append_recommendations([recommendation(f"r{reader}")], NOON)
        database.close()
        return written

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(first_use, range(6))) == [1] * 6


def test_processes_may_create_the_same_sqlite_file(tmp_path: Path, worker: Worker) -> None:
    """Each switches it to WAL, which SQLite's own lock timeout does not cover; 20 files, each opened in step."""
    body = """
for n in range(20):
    sys.stdin.readline()
    EventDatabase(f"{sys.argv[1]}.{n}").close()
    print(n, flush=True)
"""
    workers = [worker(f"sqlite:///{tmp_path}/events.db", body) for _ in range(4)]
    for process in workers:
        process.stdin.write("go\n")
    for n in range(20):
        for process in workers:
            process.stdin.write("next\n")
            process.stdin.flush()
        assert [process.stdout.readline() for process in workers] == [f"{n}\n"] * 4
    for process in workers:
        process.communicate()


def test_threads_of_one_process_append_for_one_reader(database: EventDatabase) -> None:
    database.append_recommendations([recommendation("r")], NOON)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: database.append_feedback([event(f"e{n}")], NOON), range(80)))
    assert results == [AppendResult(1, 0, 0)] * 80
    assert [row["received_at"] for row in database.feedback_of("ann")] == list(range(NOON, NOON + 80))


def test_a_poller_beside_two_writers_sees_every_article(url: str, worker: Worker) -> None:
    body = 'for n in range(40): database.upsert_articles([article(f"{sys.argv[2]}{n}")], NOON - n)'
    writers = [worker(url, body, name) for name in "ab"]
    database = EventDatabase(url)
    seen: set[str] = set()
    stamp: int | None = None
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(together, *writers)
        while True:
            finished = writing.done()
            changed, stamp = database.articles(stamp)
            seen.update(changed["article_id"].to_pylist())
            if finished:
                break
        writing.result()
    database.close()
    assert seen == {f"{name}{n}" for name in "ab" for n in range(40)}
