"""Which training sets are refused and why, and that stored features and the library's own join give one result."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsrec import dataset, events
from newsrec.decisions import Decisions
from newsrec.events import IMPORTED_POLICY, ORDINAL_TIME, EventLog, InvalidEvents
from newsrec.features import HOUR
from newsrec.reward import RewardConfig
from newsrec.snapshots import article_moments, article_snapshots, decision_moments, point_in_time, reader_snapshots
from tests.logs import MINUTE, MONDAY, article, decision, event, log, logs

EIGHT = MONDAY + 8 * HOUR


def small(flags: tuple[str, ...] = ()) -> EventLog:
    decisions = [
        decision("r1", "u", EIGHT, "ba", "abc"),
        decision("r2", "v", EIGHT + 10 * MINUTE, "c", "ca"),
        decision("r3", "u", EIGHT + 3 * HOUR, "a", "ab"),
        decision("h", "u", EIGHT - HOUR, "c", policy=IMPORTED_POLICY),
    ]
    feedback = [
        event("h", "u", "click", "c", EIGHT - HOUR),
        event("r1", "u", "click", "b", EIGHT + MINUTE),
        event("r2", "v", "dwell", "c", EIGHT + 11 * MINUTE, dwell_seconds=30.0),
    ]
    return log([article(a, MONDAY) for a in "abc"], decisions, feedback, flags)


def stored(log: EventLog) -> tuple[pa.Table, pa.Table]:
    """Reader rows and article rows, as a feature store returns them."""
    readers = point_in_time(decision_moments(log), reader_snapshots(log), "user_id")
    return readers, point_in_time(article_moments(log), article_snapshots(log), "article_id")


def arrays(value: Any) -> list[np.ndarray]:
    """Everything that decisions hold, apart from the catalogue."""
    if isinstance(value, Decisions):
        fields = [getattr(value, field.name) for field in dataclasses.fields(value) if field.name != "catalogue"]
        return [array for field in fields for array in arrays(field)]
    return [array for part in value for array in arrays(part)] if isinstance(value, tuple) else [np.asarray(value)]


def assert_equal(ours: Decisions, theirs: Decisions) -> None:
    assert ours.catalogue.articles.equals(theirs.catalogue.articles)
    for a, b in zip(arrays(ours), arrays(theirs), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@settings(max_examples=30, deadline=None)
@given(logs(), st.randoms(use_true_random=False))
def test_stored_rows_may_come_in_any_order(log: EventLog, random: Any) -> None:
    def shuffled(table: pa.Table) -> pa.Table:
        return table.take(pa.array(random.sample(range(table.num_rows), table.num_rows), pa.int64()))

    readers, articles = stored(log)
    built = dataset.build(log, shuffled(readers), shuffled(articles), RewardConfig())
    assert_equal(built, dataset.from_log(log))
    mixed = log._replace(recommendations=shuffled(log.recommendations), feedback=shuffled(log.feedback))
    assert_equal(dataset.from_log(mixed), dataset.from_log(log))


def test_imported_reads_are_history_and_no_decisions() -> None:
    decisions = dataset.from_log(small())
    assert len(decisions) == 3
    assert decisions.readers.length.tolist() == [1, 0, 2]
    assert decisions.batch(np.array([0, 2])).state.history_index.tolist() == [[3, 0], [3, 2]]


def test_features_of_more_moments_than_needed_change_nothing() -> None:
    readers, articles = stored(small())
    more = articles.slice(0, 1).set_column(2, "event_timestamp", [[pa.scalar(0, events.TIME)]])
    built = dataset.build(small(), readers, pa.concat_tables([more, articles]), RewardConfig())
    assert_equal(built, dataset.from_log(small()))


def test_a_training_set_on_disk(tmp_path: Path) -> None:
    readers, articles = stored(small())
    events.write(small(), tmp_path / "log")
    pq.write_table(readers, tmp_path / "readers.parquet")
    with pytest.raises(FileNotFoundError, match=r"articles\.parquet is missing; expected a training set"):
        dataset.read(tmp_path)
    pq.write_table(articles, tmp_path / "articles.parquet")
    assert_equal(dataset.read(tmp_path), dataset.from_log(small()))
    reward = RewardConfig(click=5.0, half_life_hours=1.0)
    configured = dataset.read(tmp_path, reward, use_time=False)
    assert configured.reward.tolist() == pytest.approx([5.0, 0.1, 0.0])
    assert configured.discount[0] == 0.125
    assert not configured.use_time


def test_times_that_are_only_an_order_refuse_features_of_time() -> None:
    with pytest.raises(InvalidEvents, match=r"only give an order .* set use_time = false"):
        dataset.from_log(small((ORDINAL_TIME,)))
    assert len(dataset.from_log(small((ORDINAL_TIME,)), use_time=False)) == 3


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        ([], "found no decision"),
        ([decision("h", "u", EIGHT, "a", policy=IMPORTED_POLICY)], "found no decision"),
        ([decision("r", "u", EIGHT, "", "a")], "every slate is empty"),
        ([decision("r", "u", EIGHT, "a", "ax")], "'x', which articles.parquet does not hold"),
    ],
)
def test_logs_that_teach_nothing_are_refused(decisions: list[dict], message: str) -> None:
    with pytest.raises(InvalidEvents, match=message):
        dataset.from_log(log([article("a")], decisions, []))


def test_missing_features_are_counted() -> None:
    readers, articles = stored(small())
    with pytest.raises(InvalidEvents, match="reader features are missing for 1 decisions"):
        dataset.build(small(), readers.slice(1), articles, RewardConfig())
    two_hours = articles.filter(pa.compute.less(articles["event_timestamp"], pa.scalar(EIGHT + HOUR, events.TIME)))
    with pytest.raises(InvalidEvents, match="article features are missing for 2 candidates"):
        dataset.build(small(), readers, two_hours, RewardConfig())
    with pytest.raises(InvalidEvents, match="article features are missing for 7 candidates"):
        dataset.build(small(), readers, articles.slice(0, 0), RewardConfig())


def test_a_real_log_becomes_decisions(real_data: Any) -> None:
    from newsrec.datasets import mind

    log = mind.read(real_data("mind-5k"), timezone="UTC")
    decisions = dataset.from_log(log)
    assert len(decisions) == 5000
    batch = decisions.batch(np.arange(0, 5000, 50), successors=True)
    clicks = batch.feedback[..., events.KINDS.index("click")].sum(1)
    assert (clicks >= 1).all(), "MIND keeps only impressions with a click"
    assert np.array_equal(batch.reward.numpy(), clicks.numpy())
    assert batch.log_propensity[batch.slate_mask].isnan().all()
    assert not (decisions.readers.last_seen >= decisions.time).any(), "no decision sees its own impressions"
