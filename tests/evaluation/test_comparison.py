"""What the comparison says of rankings with known figures."""

import json
from dataclasses import replace

import numpy as np
import pytest

from newsrec.evaluation.comparison import ComparisonConfig, compare
from newsrec.evaluation.intervals import clustered_mean, paired_difference
from newsrec.evaluation.ranking import evaluate
from newsrec.features import DAY, HOUR
from tests.evaluation.logs import ByWorth, decisions_of, small_log
from tests.evaluation.rankings import READER, noisy, ranking


def test_intervals_and_paired_differences_are_those_of_the_readers():
    a, b = noisy(0.3, 0), noisy(0.32, 1)
    found = compare({"popularity": ranking(a), "transformer": ranking(b, lists=1)}, ["popularity"])
    cell = found["policies"]["transformer"]["mrr"]
    expected = clustered_mean(b, READER, np.random.default_rng(0))
    assert (cell["mean"], cell["low"], cell["high"]) == pytest.approx(expected)
    lift = found["differences"]["popularity"]["transformer"]["metrics"]["ndcg_at_10"]
    assert tuple(lift.values()) == pytest.approx(paired_difference(b, a, READER, np.random.default_rng(0)))
    assert found["differences"]["popularity"]["transformer"]["same_lists"] == 0.0
    assert "popularity" not in found["differences"]["popularity"]


def test_the_protocol_says_what_was_compared_and_how():
    config = ComparisonConfig(confidence=0.9, draws=50, seed=7)
    assert compare({"popularity": ranking(0.5)}, config=config)["protocol"] == {
        "decisions": 60,
        "readers": 20,
        "from": "2026-01-01T00:00+00:00",
        "to": "2026-01-02T05:30+00:00",
        "k": 10,
        "confidence": 0.9,
        "draws": 50,
        "seed": 7,
    }


def test_a_wider_confidence_gives_wider_intervals():
    narrow, wide = (
        compare({"popularity": ranking(noisy(0.3, 0))}, config=ComparisonConfig(confidence=c)) for c in (0.5, 0.99)
    )
    narrow, wide = (found["policies"]["popularity"]["mrr"] for found in (narrow, wide))
    assert wide["low"] < narrow["low"] < narrow["mean"] < narrow["high"] < wide["high"]


def test_undefined_figures_are_null_and_counted_and_the_whole_is_json():
    decisions = decisions_of(small_log())
    found = compare({"worth": evaluate(ByWorth(), decisions, np.arange(5))})
    assert found["policies"]["worth"]["mrr"]["decisions"] == 4
    assert found["policies"]["worth"]["coverage_at_10"]["low"] is None
    nobody_clicked = compare({"worth": evaluate(ByWorth(), decisions, np.array([2]))})
    assert nobody_clicked["policies"]["worth"]["mrr"] == {"mean": None, "low": None, "high": None, "decisions": 0}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_slices_part_the_decisions_by_time_and_by_reads():
    values = np.tile([0.1, 0.2, 0.6], 20)
    found = compare({"popularity": ranking(values)})["slices"]
    assert [(part["slice"], part["decisions"]) for part in found["reads"]] == [
        ("no reads", 20),
        ("1-4 reads", 20),
        ("5-19 reads", 20),
    ]
    assert [part["policies"]["popularity"]["mean"] for part in found["reads"]] == pytest.approx([0.1, 0.2, 0.6])
    assert [part["decisions"] for part in found["time"]] == [6] * 10  # 30 hours are ten stretches of three
    assert found["time"][1]["slice"] == "2026-01-01T03:00+00:00"


def test_a_longer_log_is_sliced_by_the_day():
    whole = ranking(0.5)
    found = compare({"popularity": replace(whole, time=whole.time // HOUR * HOUR + np.arange(60) * DAY // 6)})
    assert len(found["slices"]["time"]) == 12
    assert {part["slice"][11:16] for part in found["slices"]["time"]} == {"00:00"}
    assert sum(part["decisions"] for part in found["slices"]["time"]) == 60


def test_rankings_of_different_decisions_are_refused():
    whole = ranking(0.5)
    other = replace(whole, time=whole.time + 1)
    with pytest.raises(ValueError, match="b and a were judged on different decisions"):
        compare({"a": whole, "b": other})
    with pytest.raises(ValueError, match="baseline popularity is not among the policies a"):
        compare({"a": whole}, ["popularity"])
    with pytest.raises(ValueError, match="no policies"):
        compare({})


@pytest.mark.parametrize("bad", [{"confidence": 1.0}, {"confidence": 95}, {"draws": 0}])
def test_impossible_configurations_are_refused(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} is"):
        ComparisonConfig(**bad)
