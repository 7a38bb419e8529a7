"""One meaning of a feature in three places: the library's join, Feast's join, and the online store at that instant."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.errors import FeatureStoreMismatch, FeatureStoreMissing
from feature_repo.served import moment
from feature_repo.store import Store, build_training_set, create_store, materialize_training_set, open_store
from newsrec import dataset, events
from newsrec.events import HISTORY_TIME_MADE_UP, IMPORTED_POLICY, EventLog, microseconds
from newsrec.features import ARTICLE_FEATURES, HOUR, READER_FEATURES, feature_hash
from newsrec.snapshots import article_moments, article_snapshots, decision_moments, point_in_time, reader_snapshots
from tests.feature_repo.logs import START, random_log

END = moment(START + 1000 * HOUR)


@pytest.fixture(scope="module")
def log() -> EventLog:
    return random_log(np.random.default_rng(0))


def joined_by_the_library(log: EventLog) -> tuple[pa.Table, pa.Table]:
    readers = point_in_time(decision_moments(log), reader_snapshots(log), "user_id")
    return readers, point_in_time(article_moments(log), article_snapshots(log), "article_id")


def test_training_rows_are_those_of_the_library(sqlite_store: Store, log: EventLog, tmp_path: Path) -> None:
    """Value for value, row for row: unknown readers, two requests of a reader at one moment, missing embeddings."""
    readers, articles = joined_by_the_library(log)
    moments = readers.group_by(["user_id", "event_timestamp"]).aggregate([([], "count_all")])
    assert max(moments["count_all"].to_pylist()) > 1, "the log lacks two requests of one reader at one moment"
    assert 0 < readers["history"].null_count < readers.num_rows
    sqlite_store.write_offline(log)
    out = sqlite_store.training_rows(log, tmp_path / "rows")
    assert pq.read_table(out / "readers.parquet").equals(readers)
    assert pq.read_table(out / "articles.parquet").equals(articles)
    assert len(dataset.read(out)) == log.recommendations.num_rows


def test_online_at_an_instant_is_the_training_row_of_it(store: Store, log: EventLog) -> None:
    """No skew: materialise up to the moment of a training row, and read from the online store what that row holds."""
    readers, articles = (table.to_pylist() for table in joined_by_the_library(log))
    store.write_offline(log)
    rows = [(row, store.readers, "user_id", READER_FEATURES) for row in readers[::6]]
    rows += [(row, store.articles, "article_id", ARTICLE_FEATURES) for row in articles[:: len(articles) // 10]]
    for wanted, read, key, features in sorted(rows, key=lambda row: row[0]["event_timestamp"]):
        store.materialize(wanted["event_timestamp"])
        (found,) = read([wanted[key]])
        assert {f.name: found[f.name] for f in features} == {f.name: wanted[f.name] for f in features}


def test_made_up_clock_leaves_nulls_among_the_integers(store: Store) -> None:
    """Imported reads without a clock have no last_seen: null beside numbers of 51 bits in one column, in all places."""
    log = random_log(np.random.default_rng(1))
    imported = {
        "request_id": "old",
        "user_id": "importer",
        "session_id": "s",
        "time": START - 5,
        "policy": IMPORTED_POLICY,
    }
    decision = {"request_id": "new", "user_id": "importer", "session_id": "s", "time": START + 5, "policy": "random"}
    lists = {"candidates": ["article 1"], "slate": ["article 1"]}
    read = {"event_id": "old", "request_id": "old", "user_id": "importer", "article_id": "article 1", "kind": "click"}
    recommendations = events.from_rows("recommendations", [imported | lists, decision | lists])
    feedback = events.from_rows("feedback", [read | {"time": START - 5, "received_at": START - 5}])
    log = EventLog(
        log.articles,
        pa.concat_tables([log.recommendations, recommendations]),
        pa.concat_tables([log.feedback, feedback]),
        frozenset({HISTORY_TIME_MADE_UP}),
    )
    store.write_offline(log)
    wanted = {row["row_id"]: row for row in joined_by_the_library(log)[0].to_pylist()}["new"]
    assert (wanted["last_seen"], wanted["reads"]) == (None, 1)
    rows = pq.read_table(store.training_rows(log, store.root / "rows") / "readers.parquet")
    assert rows.equals(joined_by_the_library(log)[0])
    store.materialize(END)
    (found,) = store.readers(["importer"])
    assert found == {f.name: wanted[f.name] for f in READER_FEATURES} | {"event_timestamp": START - 5}


def test_training_set_and_store_of_a_log(log: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the pipeline's two steps call: the rows of the library, then a store as of the log's last moment."""
    monkeypatch.delenv("NEWSREC_REDIS", raising=False)
    training_set = build_training_set(events.write(log, tmp_path / "log"), tmp_path / "set")
    assert pq.read_table(training_set / "readers.parquet").equals(joined_by_the_library(log)[0])
    done = materialize_training_set(training_set, tmp_path / "store", tmp_path / "counts.json")
    last = max(microseconds(log.feedback["received_at"]).max(), microseconds(log.recommendations["time"]).max())
    seen = set(log.feedback["user_id"].to_pylist())
    published = (microseconds(log.articles["published_at"]) <= last).sum()
    assert done == (len(seen), published, len(seen) + published, moment(int(last)))
    again = materialize_training_set(training_set, tmp_path / "store", tmp_path / "counts.json")
    assert again.moved == 0
    assert f'"readers": {len(seen)}' in (tmp_path / "counts.json").read_text()


def test_unknown_to_the_store(store: Store, log: EventLog) -> None:
    """Order and length are those of the question, unknown ids give None, the same id twice gives two rows."""
    store.write_offline(log)
    store.materialize(END)
    known = log.feedback["user_id"][0].as_py()
    nobody, first, second, empty = store.readers(["nobody", known, known, ""])
    names = {"event_timestamp", *(f.name for f in READER_FEATURES)}
    assert nobody == empty == dict.fromkeys(names)
    assert first == second
    assert first.keys() == names
    assert first["reads"] is not None
    assert store.readers([]) == []


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(FeatureStoreMissing, match=f"no feature store in {tmp_path}"):
        open_store(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "registry.db").write_text("no database at all, but long enough to be taken for one" * 20)
    with pytest.raises(FeatureStoreMissing, match="is no Feast registry"):
        open_store(tmp_path)
    (tmp_path / "registry.db").write_bytes(b"")
    with pytest.raises(FeatureStoreMissing, match="lacks the services"):
        open_store(tmp_path)


def test_store_of_other_features(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither opened nor overwritten by code whose features differ; the message has both hashes."""
    ours = sqlite_store.feature_hash()
    assert ours == feature_hash()
    for module in ("repository", "views", "services"):
        monkeypatch.setattr(f"feature_repo.{module}.feature_hash", lambda: "other")
    for attempt in (open_store, create_store):
        with pytest.raises(FeatureStoreMismatch, match=f"features {ours}, this code has other"):
            attempt(sqlite_store.root)
    monkeypatch.undo()
    assert open_store(sqlite_store.root).feature_hash() == ours


def test_offline_part_is_missing_or_elsewhere(sqlite_store: Store, log: EventLog) -> None:
    with pytest.raises(FeatureStoreMissing, match=r"reader_v2\.parquet is missing; write_offline"):
        sqlite_store.materialize(END)
    sqlite_store.write_offline(log)
    copy = sqlite_store.root.with_name("copy")
    shutil.copytree(sqlite_store.root, copy)
    with pytest.raises(FeatureStoreMissing, match="run create_store on it again"):
        open_store(copy).materialize(END)
    assert create_store(copy).materialize(END).readers > 0


def test_redis_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSREC_REDIS", "127.0.0.1:1")
    with pytest.raises(FeatureStoreMissing, match=r"online store 127\.0\.0\.1:1.* does not answer"):
        create_store(tmp_path)
    hasty = open_store(tmp_path, timeout_seconds=0.05)
    with pytest.raises(FeatureStoreMissing, match="does not answer"):
        hasty.readers(["a"])
    monkeypatch.setenv("NEWSREC_REDIS", "somewhere")
    with pytest.raises(FeatureStoreMissing, match="'somewhere', expected host:port"):
        create_store(tmp_path)


def test_no_feature_knows_what_arrived_later(sqlite_store: Store, log: EventLog, tmp_path: Path) -> None:
    """Deleting all feedback that arrived after a cut changes no training row up to the cut, whenever it happened."""
    sqlite_store.write_offline(log)
    whole = sqlite_store.training_rows(log, tmp_path / "whole")
    for part in (0.2, 0.6):
        received = microseconds(log.feedback["received_at"])
        cut = int(np.quantile(received, part))
        late = (microseconds(log.feedback["time"]) <= cut) & (received > cut)
        assert late.any(), "the log lacks feedback that happened before the cut and arrived after it"
        known = log._replace(feedback=log.feedback.filter(pa.array(received <= cut)))
        sqlite_store.write_offline(known)
        rows = sqlite_store.training_rows(known, tmp_path / f"known {part}")
        for name in ("readers.parquet", "articles.parquet"):
            before, after = pq.read_table(whole / name), pq.read_table(rows / name)
            asked = pa.array(microseconds(before["event_timestamp"]) <= cut)
            assert 0 < asked.true_count < len(asked)
            assert after.filter(asked).equals(before.filter(asked))
            assert not after.equals(before)
