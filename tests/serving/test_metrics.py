"""What is measured of slates, by hand."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from newsrec.transitions import Readers
from serving import metrics
from serving.metrics import Slates
from serving.recommend import Decision, Visit
from serving.schema import SlateRequest
from serving.stored_readers import unknown_reader
from tests.serving.test_recommend import NOW, POPULARITY, reader

COLD = unknown_reader()


def decision(user: str, slate: str, known: Readers = COLD, propensity: float = 0.5, **visit: Any) -> Decision:
    made = Visit(SlateRequest(user_id=user), "r", user, known, visit.pop("degraded", False), NOW)
    return Decision(
        made._replace(**visit), POPULARITY, "", list(slate), list(slate), [1.0] * len(slate), [propensity] * len(slate)
    )


@pytest.fixture
def slates() -> Slates:
    return Slates()


def scraped(slates: Slates) -> dict[str, float]:
    """Every sample by its name and labels, as a scrape shows it."""
    registry = CollectorRegistry()
    registry.register(slates)
    return {
        sample.name + "".join(f",{label}={value}" for label, value in sample.labels.items()): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_slates_are_counted_by_policy_and_arm_cold_and_degraded_ones_too(slates: Slates) -> None:
    slates.answered([decision("u", "abc"), decision("v", "abc", reader("a01"), arm="candidate")])
    slates.answered([decision("w", "", degraded=True)])
    found = scraped(slates)
    assert found["newsrec_slates_total,policy=popularity,arm="] == 2
    assert found["newsrec_slates_total,policy=popularity,arm=candidate"] == 1
    assert (found["newsrec_cold_slates_total"], found["newsrec_degraded_slates_total"]) == (2, 1)


def test_a_reader_is_as_old_as_their_last_event_an_hour_here(slates: Slates) -> None:
    slates.answered([decision("u", "abc", reader("a01")), decision("v", "abc")])
    found = scraped(slates)
    assert found["newsrec_feature_age_seconds_sum"] == 3600
    assert found["newsrec_feature_age_seconds_bucket,le=600.0"] == 0
    assert found["newsrec_feature_age_seconds_bucket,le=3600.0"] == 1
    assert found["newsrec_feature_age_seconds_count"] == 1


def test_the_entropy_of_a_slate_is_the_sum_over_its_positions(slates: Slates) -> None:
    """Also where the product of a hundred probabilities is too small for a float."""
    slates.answered([decision("u", "abc", propensity=0.5), decision("v", "a" * 100, propensity=1e-5)])
    slates.answered([decision("w", "", propensity=0.5), decision("x", "abc", propensity=1.0)])
    found = scraped(slates)
    assert found["newsrec_slate_entropy_nats_sum"] == pytest.approx(3 * math.log(2) + 500 * math.log(10))
    assert found["newsrec_slate_entropy_nats_count"] == 3
    assert found["newsrec_slate_entropy_nats_bucket,le=0.1"] == 1


def test_a_slate_overlaps_with_the_one_before_it_of_the_same_reader(slates: Slates) -> None:
    for user, slate in (("u", "abcd"), ("v", "abcd"), ("u", "abxy"), ("u", ""), ("u", "abxy")):
        slates.answered([decision(user, slate)])
    found = scraped(slates)
    assert found["newsrec_slate_overlap_sum"] == 1.5
    assert found["newsrec_slate_overlap_bucket,le=0.5"] == 1
    assert found["newsrec_slate_overlap_count"] == 2


def test_the_memory_of_slates_is_bounded_and_keeps_the_latest(slates: Slates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "READERS", 3)
    for user in "abcadae":  # b and c are forgotten when d and e come
        slates.answered([decision(user, "xyz")])
    assert len(slates._previous) == 3
    assert scraped(slates)["newsrec_slate_overlap_count"] == 2
    slates.answered([decision("b", "xyz"), decision("a", "xyz")])
    assert scraped(slates)["newsrec_slate_overlap_count"] == 3


def test_a_stage_ends_where_the_next_begins(slates: Slates, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([300_000, 2_300_000])
    monkeypatch.setattr(metrics.time, "perf_counter_ns", lambda: next(moments))
    assert slates.stages["store"].since(slates.stages["parse"].since(100_000)) == 2_300_000
    found = scraped(slates)
    assert found["newsrec_stage_seconds_sum,stage=parse"] == pytest.approx(0.0002)
    assert found["newsrec_stage_seconds_bucket,stage=parse,le=0.0001"] == 0
    assert found["newsrec_stage_seconds_bucket,stage=parse,le=0.0002"] == 1
    assert found["newsrec_stage_seconds_sum,stage=store"] == pytest.approx(0.002)
    assert found["newsrec_stage_seconds_count,stage=log"] == 0


def test_nothing_is_lost_between_threads(slates: Slates) -> None:
    start, one = threading.Barrier(8), [decision("u", "ab", reader("a01"))]

    def count(_: int) -> None:
        start.wait()
        for _ in range(1_000):
            slates.answered(one)
            slates.stages["draw"].since(0)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(8)))
    found = scraped(slates)
    assert found["newsrec_slates_total,policy=popularity,arm="] == 8_000
    assert found["newsrec_slate_overlap_sum"] == 7_999
    assert found["newsrec_stage_seconds_count,stage=draw"] == 8_000
