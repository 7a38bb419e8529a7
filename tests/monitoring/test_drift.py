"""The stability index against hand-computed values, and what it says of simulated days with and without a shift."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from newsrec import dataset
from newsrec.catalogue import Catalogue
from newsrec.config import InvalidConfig, from_mapping
from newsrec.decisions import Decisions
from newsrec.events import CONTEXT, KINDS, EventLog, microseconds
from newsrec.features import DAY
from newsrec.monitoring.columns import Column, columns
from newsrec.monitoring.drift import Drift, DriftConfig, compare, measure, psi, shares
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.rollout import simulate

WORLD = SimulationConfig(
    readers=420,
    days=10,
    articles_per_day=130,
    candidates=60,
    slate_size=6,
    seed=3,
    population=PopulationConfig(visits_per_day=1.0),
)
LAST = WORLD.end_time - DAY
GROWING = {"history_length", "history_dwell_seconds", "active_days", "reads", "sessions"}
SLOW = {"silent_hours", "gap_hours", "log_clicks_hour", "log_clicks_day", "click_rate_day", "log_dwell_day"}


def column(values: object, clusters: int = 0) -> Column:
    array = np.asarray(values)
    array = array if array.dtype.kind == "U" else array.astype(float)
    return Column(array, np.zeros(len(array), np.int64), np.arange(len(array)) % (clusters or len(array)))


def test_the_index_by_hand():
    # 8 + 1/2 of 10 + 1 against 3 + 1/2: shares 17/22 and 5/22 against 7/22 and 15/22
    before, now = np.array([0.8, 0.2]), np.array([0.3, 0.7])
    expected = (7 - 17) / 22 * np.log(7 / 17) + (15 - 5) / 22 * np.log(15 / 5)
    assert psi(before, now, 10, 10) == pytest.approx(expected)
    assert psi(before, before, 1000, 1000) == 0.0


def test_without_drift_the_index_has_the_mean_that_is_taken_off():
    generator = np.random.default_rng(0)
    values = [psi(*(generator.multinomial(n, [0.1] * 10) / n for n in (400, 250)), 400, 250) for _ in range(2000)]
    assert np.mean(values) == pytest.approx(9 * (1 / 400 + 1 / 250), rel=0.05)


def test_numbers_are_cut_at_the_quantiles_of_the_reference():
    names, before, now = shares(np.arange(1.0, 101.0), np.array([5.0, 25.0, 25.5, 100.0]), 4)
    assert names == ["up to 25", "25 to 50", "50 to 75", "above 75"]
    assert before.tolist() == [0.25, 0.25, 0.25, 0.25]
    assert now.tolist() == [0.5, 0.25, 0.0, 0.25]


def test_a_single_value_and_what_lies_around_it_are_told_apart():
    names, before, now = shares(np.full(10, 50.0), np.array([10.0, 50.0, 60.0, np.nan]), 10)
    assert names == ["below 50", "50", "above 50", "missing"]
    assert before.tolist() == [0.0, 1.0, 0.0, 0.0]
    assert now.tolist() == [0.25, 0.25, 0.25, 0.25]


def test_a_reference_of_missing_values_is_compared_all_the_same():
    found = compare(column([np.nan] * 300), column([1.0] * 300), DriftConfig())
    assert found.drifted
    assert found.why == "above 0: 0.0% before, 100.0% today"


def test_rare_and_new_categories_share_a_bin():
    before = np.array(["a"] * 5 + ["b"] * 4 + ["c"])
    names, p, q = shares(before, np.array(["a", "new", "c", "0"]), 2)
    assert names == ["a", "b", "other"]
    assert p.tolist() == [0.5, 0.4, 0.1]
    assert q.tolist() == [0.25, 0.0, 0.75]


def test_a_shift_of_few_readers_is_not_judged_however_many_rows_they_have():
    before, now = ["a"] * 500 + ["b"] * 500, ["a"] * 100 + ["b"] * 900
    assert compare(column(before), column(now), DriftConfig()).drifted
    few = compare(column(before), column(now, clusters=9), DriftConfig())
    assert few.psi > 0.2
    assert (few.today, few.judged, few.drifted) == (9, False, False)
    assert few.why == "too few: 0.112 is usual without drift, up to 0.1 could be judged"


def test_what_chance_gives_to_a_few_readers_is_no_drift():
    before, now = column(list("abcde") * 60), column(list("aaabcde") * 14)
    found = compare(before, now, DriftConfig())
    assert found.limit == pytest.approx((1 / 300 + 1 / 98) * 18.467, rel=1e-4)  # chi-square, 4 degrees, 0.999
    assert 0.2 < found.psi < found.limit
    assert (found.judged, found.drifted) == (True, False)
    assert compare(before, now, DriftConfig(confidence=0.99)).drifted


def test_an_empty_side_is_not_judged():
    some, none = column([1.0, 2.0]), column([])
    assert compare(none, some, DriftConfig()).why == "found no rows in the reference"
    assert compare(some, none, DriftConfig()) == Drift(None, 0.2, 2, 0, False, False, "found no rows today")


@pytest.fixture(scope="module")
def log() -> EventLog:
    return simulate(WORLD)


@pytest.fixture(scope="module")
def decisions(log) -> Decisions:
    return dataset.from_log(log)


def measured(log: EventLog, decisions: Decisions, start: int = LAST, **config) -> dict[str, Drift]:
    return measure(columns(log, decisions), (start - 7 * DAY, start), (start, start + DAY), DriftConfig(**config))


def drifted(found: dict[str, Drift]) -> set[str]:
    return {name for name, drift in found.items() if drift.drifted}


def judged(found: dict[str, Drift]) -> set[str]:
    return {name for name, drift in found.items() if drift.judged}


@pytest.mark.parametrize("day", range(5, 10))
def test_a_day_like_those_before_it_is_not_flagged(log, decisions, day):
    """The world begins on a Monday: 5 is a Saturday after working days, 7 a Monday after a week."""
    found = measured(log, decisions, WORLD.start_time + day * DAY)
    assert drifted(found) == set()
    assert judged(found) == set(found) - SLOW - GROWING


def test_counts_and_absences_are_not_flagged_once_they_are_warm(log, decisions):
    warm = {name: columns(log, decisions)[name]._replace(memory_days=1) for name in SLOW}
    found = measure(warm, (LAST - 7 * DAY, LAST), (LAST, LAST + DAY), DriftConfig())
    assert judged(found) == SLOW
    assert drifted(found) == set()


def test_a_young_log_is_not_flagged_for_getting_older(log, decisions):
    found = measured(log, decisions)
    assert found["active_days"].psi > 0.5  # histories and active days still grow
    assert found["active_days"].why == "needs 28 days of log before the reference, found 2.0"
    assert found["reads"].why == "measured only: it never stops growing"
    assert not judged(found) & GROWING


def today(time: np.ndarray) -> np.ndarray:
    return time >= LAST


def test_tablets_everywhere_are_flagged(log, decisions):
    context, made = log.recommendations["context"].combine_chunks(), microseconds(log.recommendations["time"])
    fields = {field.name: pc.struct_field(context, field.name) for field in CONTEXT}
    fields["device"] = pc.if_else(pa.array(today(made)), "tablet", fields["device"])
    shifted = pa.StructArray.from_arrays([fields[field.name] for field in CONTEXT], fields=list(CONTEXT))
    at = log.recommendations.schema.get_field_index("context")
    found = measured(log._replace(recommendations=log.recommendations.set_column(at, "context", shifted)), decisions)
    assert drifted(found) == {"device"}
    assert found["device"].why.startswith("tablet: ")
    assert found["device"].why.endswith("100.0% today")


def test_a_category_that_triples_is_flagged(log, decisions):
    articles, stored = decisions.catalogue.articles, decisions.stored
    category = articles["category"].to_numpy(zero_copy_only=False).astype(str)
    rows = np.unique(stored.article[today(stored.hour * 3_600_000_000)]) - 1
    names, counts = np.unique(category[rows], return_counts=True)
    most = names[counts.argmax()]
    others = np.random.default_rng(0).permutation(rows[category[rows] != most])
    category[others[: 2 * counts.max()]] = most
    at = articles.schema.get_field_index("category")
    catalogue = Catalogue(articles.set_column(at, "category", pa.array(category.tolist())), articles.num_rows)
    found = measured(log, replace(decisions, catalogue=catalogue))
    assert drifted(found) == {"category"}
    assert found["category"].why.startswith(f"{most}: ")


def test_twice_the_dwell_is_flagged(log, decisions):
    feedback = decisions.feedback.copy()
    feedback[today(decisions.time[decisions.slate.row]), KINDS.index("dwell")] *= 2
    assert drifted(measured(log, replace(decisions, feedback=feedback))) == {"dwell_seconds"}


def test_a_shorter_history_is_flagged_once_the_log_is_old_enough(log, decisions):
    length = np.where(today(decisions.time), np.minimum(decisions.readers.length, 4), decisions.readers.length)
    cut = columns(log, replace(decisions, readers=decisions.readers._replace(length=length)))["history_length"]
    old_enough = {"history_length": cut._replace(memory_days=1)}
    found = measure(old_enough, (LAST - 3 * DAY, LAST), (LAST, LAST + DAY), DriftConfig())["history_length"]
    assert found.drifted
    kept = {"history_length": columns(log, decisions)["history_length"]._replace(memory_days=1)}
    assert not measure(kept, (LAST - 3 * DAY, LAST), (LAST, LAST + DAY), DriftConfig())["history_length"].drifted


def test_columns_are_those_of_the_log(log, decisions):
    found = columns(log, decisions)
    row = 1234
    reader = decisions.readers.take(np.array([row]))
    assert found["history_length"].values[row] == reader.length[0]
    assert found["history_dwell_seconds"].values[row] == pytest.approx(reader.dwell[0][: reader.length[0]].mean())
    made = log.recommendations.slice(row, 1).to_pylist()[0]
    assert found["device"].values[row] == made["context"]["device"]
    minutes = microseconds(log.recommendations["time"])[row] // 60_000_000 + made["context"]["utc_offset_minutes"]
    part = found["local_hour"].values[row]
    assert int(part[:2]) <= minutes // 60 % 24 < int(part[3:5])
    dwell = log.feedback.filter(pc.equal(log.feedback["kind"], "dwell"))["dwell_seconds"].to_numpy()
    assert np.sort(found["dwell_seconds"].values) == pytest.approx(np.sort(dwell[dwell > 0]))
    ages = found["age_hours"]
    article = decisions.catalogue.articles.slice(ages.cluster[7] - 1, 1)
    assert ages.values[7] == pytest.approx((ages.time[7] - microseconds(article["published_at"])[0]) / 3.6e9, abs=1e-6)
    assert found["category"].values[7] == article["category"][0].as_py()


@pytest.mark.parametrize("values", [{"threshold": 0.0}, {"bins": 1}, {"reference_days": 0}])
def test_impossible_configurations_are_refused(values):
    with pytest.raises(InvalidConfig, match=next(iter(values))):
        from_mapping(DriftConfig, values)
