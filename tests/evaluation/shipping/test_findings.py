"""From a log to findings: each metric by its estimator, and one clear error where the log cannot tell."""

from dataclasses import replace

import numpy as np
import pytest

from newsrec import dataset
from newsrec.decisions import Decisions
from newsrec.evaluation.off_policy.checks import InvalidLog
from newsrec.evaluation.off_policy.logged import Acting
from newsrec.evaluation.off_policy.terms import mean
from newsrec.evaluation.shipping.bounds import Measured, bounds
from newsrec.evaluation.shipping.config import GuardRail
from newsrec.evaluation.shipping.findings import METRICS, Seen, findings
from newsrec.evaluation.shipping.latency import LATENCY
from newsrec.evaluation.shipping.verdict import decide
from newsrec.events import KINDS
from newsrec.features import DAY
from newsrec.reward import RewardConfig
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import simulate
from newsrec.slate import SlateConfig
from tests.evaluation.off_policy.test_places import alike, fresh
from tests.evaluation.shipping.worlds import asked

FRESH = Acting(fresh, SlateConfig("plackett_luce", temperature=5.0))
UNIFORM = Acting(alike, SlateConfig("plackett_luce"))
ALL = asked(guard_rails=tuple(GuardRail(m, 0.05, m != "hides") for m in METRICS if m != "click_rate"))


@pytest.fixture(scope="module")
def log() -> Decisions:
    return dataset.from_log(simulate(SimulationConfig(readers=250, days=8, slate_size=3, candidates=8, seed=3)))


def test_the_policy_that_wrote_the_log_is_its_own_mean(log: Decisions) -> None:
    rows = np.arange(len(log))[-900:]
    found = findings(log, rows, Seen(FRESH, log), None, ALL)
    slot, shown = log.slate.padded(rows)
    happened = log.feedback[slot] * shown[..., None]
    by = {name: found.measured[name].incumbent.value for name in ALL.metrics}
    assert by["click_rate"] == pytest.approx((happened[..., KINDS.index("click")] > 0).sum() / 900)
    assert by["hides"] == pytest.approx((happened[..., KINDS.index("hide")] > 0).sum() / 900)
    minutes = np.minimum(happened[..., KINDS.index("dwell")], 300.0).sum() / 60 / 900
    assert by["dwell"] == pytest.approx(minutes)
    assert 0.0 < by["coverage"] <= 1.0
    assert found.volume.decisions_a_day == pytest.approx(len(log) / len(np.unique(log.time // DAY)))
    assert found.weight.shape == (900,)


def test_of_one_read_no_more_counts_than_the_reward_counts(log: Decisions) -> None:
    rows, config = np.arange(len(log)), asked(guard_rails=(GuardRail("dwell", 0.05),))
    found = findings(log, rows, Seen(FRESH, log), None, config, reward=RewardConfig(dwell_cap_seconds=10.0))
    seconds = np.minimum(log.feedback[:, KINDS.index("dwell")], 10.0).sum()
    assert found.measured["dwell"].incumbent.value == pytest.approx(seconds / 60 / len(log))


def test_a_policy_like_the_one_that_acted_has_nothing_to_gain(log: Decisions) -> None:
    found = {
        b.metric: b for b in bounds(findings(log, np.arange(len(log)), Seen(UNIFORM, log), None, ALL).measured, ALL)
    }
    for metric in METRICS[:4]:
        assert abs(found[metric].gain) < 0.01 * found[metric].deviation
        assert found[metric].logged
    assert not found["coverage"].logged
    assert abs(found["coverage"].gain) < 0.02


def test_against_an_incumbent_that_did_not_act(log: Decisions) -> None:
    """Both by weights; of the same policy nothing is left, of the uniform one it is the log's own mean."""
    rows = np.arange(len(log))
    same = findings(log, rows, Seen(FRESH, log), Seen(FRESH, log), ALL)
    assert [bound.gain for bound in bounds(same.measured, ALL)] == pytest.approx([0.0] * len(METRICS), abs=1e-12)
    one, two = (
        bounds(findings(log, rows, Seen(FRESH, log), who, ALL).measured, ALL) for who in (None, Seen(UNIFORM, log))
    )
    for first, second in zip(one[:4], two[:4], strict=True):
        assert first.gain == pytest.approx(second.gain, abs=0.01 * first.deviation)
    assert one[0].gain != 0.0


def test_a_log_seen_through_another_catalogue_gives_the_same(log: Decisions) -> None:
    ids = log.catalogue.articles.take(np.random.default_rng(0).permutation(len(log.catalogue.articles)))
    other = log.numbered_by(type(log.catalogue)(ids, 0))
    assert other.catalogue.ids != log.catalogue.ids
    one, two = (findings(log, np.arange(len(log)), Seen(FRESH, seen), None, ALL) for seen in (log, other))
    for metric in METRICS:
        assert one.measured[metric].candidate.value == pytest.approx(two.measured[metric].candidate.value)


def test_what_was_measured_elsewhere_is_taken(log: Decisions) -> None:
    config = asked(guard_rails=(GuardRail("latency", 5.0, higher_is_better=False),))
    who = np.arange(40)
    latency = Measured(mean(who, np.full(40, 12.0)), mean(who, np.full(40, 11.0)))
    found = findings(log, np.arange(len(log)), Seen(FRESH, log), None, config, {"latency": latency})
    assert list(found.measured) == ["click_rate", "latency"]
    assert decide("fresh", found, config, np.random.default_rng(0)).bounds[1].gain == pytest.approx(-1.0)


def test_what_a_log_cannot_tell_is_one_sentence(log: Decisions) -> None:
    def refused(changed: Decisions, *metrics: str) -> str:
        config = asked(guard_rails=tuple(GuardRail(metric, 1.0) for metric in metrics))
        with pytest.raises(InvalidLog) as error:
            findings(changed, np.arange(50), Seen(FRESH, changed), None, config)
        return str(error.value)

    assert "nobody measured complaints: a log tells click_rate" in refused(log, "complaints", LATENCY)
    assert "no propensities" in refused(replace(log, propensity=np.full_like(log.propensity, np.nan)))
    silent = log.feedback.copy()
    silent[:, KINDS.index("hide")] = silent[:, KINDS.index("dwell")] = 0.0
    found = refused(replace(log, feedback=silent), "hides", "returned")
    assert "hides needs hide, returned needs dwell" in found
