"""The four verdicts on synthetic logs whose truth is known, and how often they are wrong."""

import numpy as np
import pytest

from newsrec.evaluation.off_policy import contextual
from newsrec.evaluation.off_policy.contextual import ContextualLog
from newsrec.evaluation.off_policy.terms import mean
from newsrec.evaluation.shipping.bounds import Measured
from newsrec.evaluation.shipping.config import GuardRail, ShippingConfig
from newsrec.evaluation.shipping.plan import Volume
from newsrec.evaluation.shipping.verdict import Findings, Verdict, decide
from tests.evaluation.shipping.worlds import asked, findings

HIDES = GuardRail("hides", 0.01, higher_is_better=False)
LATENCY = GuardRail("latency", 20.0, higher_is_better=False)


def judged(found: Findings, config: ShippingConfig) -> Verdict:
    return decide("new", found, config, np.random.default_rng(0))


def seeded() -> np.random.Generator:
    return np.random.default_rng(3)


def with_latency(found: Findings, slower: float) -> Findings:
    """Milliseconds of 200 requests to each policy, 10 to either side of their mean."""
    around = np.tile([-10.0, 10.0], 100)
    candidate, incumbent = mean(np.arange(200), 50.0 + slower + around), mean(np.arange(200, 400), 50.0 + around)
    return found._replace(measured={**found.measured, "latency": Measured(candidate, incumbent)})


def test_a_good_candidate_is_mixed_where_evidence_is_thin_and_shipped_where_it_is_thick() -> None:
    config = asked(guard_rails=(HIDES,))
    thin, thick = (judged(findings(readers, 0.06, seeded(), harm=0.0), config) for readers in (200, 20_000))
    assert thin.decision == "mix"
    assert 0.01 < thin.share < 1.0
    assert thin.sentence.startswith(f"mix {thin.share:.1%} of new into incumbent (limited by ")
    assert f"{thin.plan.days:,} days ({thin.plan.readers:,} readers) decide the whole" in thin.sentence
    assert f"{thin.plan.clicks_at_worst:,.0f} clicks at worst" in thin.sentence
    assert (thick.decision, thick.share, thick.plan) == ("ship", 1.0, None)
    assert thick.sentence.endswith(", and hides within the margin")
    assert f"at least {thick.bounds[0].low:+.4g}" in thick.sentence


def test_a_mixture_loses_what_is_tolerated_at_most() -> None:
    found = judged(findings(200, 0.0, seeded()), asked(tolerated_loss=0.002))
    assert found.decision == "mix"
    assert found.share * found.bounds[0].low == pytest.approx(-0.002)


def test_a_bad_candidate_is_refused_with_its_reason() -> None:
    found = judged(findings(5_000, -0.2, seeded()), asked())
    assert (found.decision, found.share, found.more_readers) == ("refuse", 0.0, 0)
    assert found.sentence == f"refuse new: {found.reasons[0]}"
    high = found.bounds[0].high
    assert high < 0.0
    assert found.reasons == (f"click_rate: the gain is at most {high:+.4g}, needed is more than +0",)


def test_clickbait_is_refused_for_what_it_breaks_alone() -> None:
    found = judged(findings(20_000, 0.1, seeded(), harm=0.1), asked(guard_rails=(HIDES,)))
    assert found.bounds[0].shown
    assert found.decision == "refuse"
    assert [reason.partition(":")[0] for reason in found.reasons] == ["hides"]


def test_a_guard_rail_that_is_open_keeps_a_shown_gain_from_shipping() -> None:
    narrow = GuardRail("hides", 0.0005, higher_is_better=False)
    found = judged(findings(20_000, 0.1, seeded(), harm=0.0), asked(guard_rails=(narrow,)))
    assert found.bounds[0].shown
    assert found.decision == "mix"
    assert found.plan.limited_by == "hides"


def test_the_same_policy_gains_nothing() -> None:
    found = findings(5_000, 0.1, seeded())
    same = found.measured["click_rate"].incumbent
    assert judged(found._replace(measured={"click_rate": Measured(same, same)}), asked()).decision == "refuse"


def test_too_few_effective_readers_are_told_how_many_are_missing() -> None:
    found = judged(findings(50, 0.1, seeded()), asked())
    assert (found.decision, found.share) == ("not enough evidence", 0.0)
    assert found.more_readers > 50
    assert f"about {found.more_readers:,} more readers are missing: " in found.sentence
    assert "effective readers of 50, expected 100" in found.sentence


def test_the_weights_are_told_with_every_answer() -> None:
    found = findings(500, 0.1, seeded())
    told = judged(found._replace(weight=2.0 * found.weight), asked())
    assert told.largest_weight == 2.0 * found.weight.max()
    assert told.mean_weight.mean == pytest.approx(2.0 * found.weight.mean())
    assert told.mean_weight.low > 1.0


def test_wrong_propensities_are_not_a_matter_of_readers() -> None:
    """And nobody is refused by figures that mean nothing."""
    found = findings(5_000, -0.2, seeded())
    told = judged(found._replace(weight=1.2 * found.weight), asked())
    assert (told.decision, told.more_readers) == ("not enough evidence", None)
    assert "more readers would not help: the mean weight is in" in told.sentence
    told = judged(found._replace(unsupported_mass=np.full(10_000, 0.3)), asked())
    assert "30.0% of what the policy shows could not be logged" in told.sentence


def test_a_share_that_would_teach_nothing_is_not_mixed() -> None:
    found = judged(findings(200, 0.02, seeded()), asked(tolerated_loss=1e-5))
    assert found.decision == "not enough evidence"
    assert found.more_readers > 200
    assert "of it are safe for click_rate, expected 1.00% or more" in found.sentence


def test_a_mixture_that_never_decides_is_not_planned() -> None:
    found = findings(200, 0.02, seeded())._replace(volume=Volume((200.0, *[0.0] * 7), 50.0))
    told = judged(found, asked())
    assert told.decision == "not enough evidence"
    assert "would need more readers than ever come" in told.sentence


def test_a_slow_candidate_is_refused_however_little_the_log_tells() -> None:
    config = asked(guard_rails=(LATENCY,))
    slow, fine = (judged(with_latency(findings(50, 0.1, seeded()), ms), config) for ms in (40.0, 5.0))
    assert slow.decision == "refuse"
    assert slow.reasons[0].startswith("latency: the gain is at most -3")
    assert fine.decision == "not enough evidence"


def test_an_open_latency_asks_for_measurements_of_its_own() -> None:
    found = judged(with_latency(findings(20_000, 0.1, seeded()), 20.0), asked(guard_rails=(LATENCY,)))
    assert found.decision == "mix"
    assert "only more measurements of its own will tell" in found.sentence


def test_a_metric_without_any_rows_is_named() -> None:
    found = with_latency(findings(5_000, 0.1, seeded()), 5.0)
    one = Measured(mean(np.zeros(1), np.ones(1)), mean(np.zeros(1), np.ones(1)))
    told = judged(found._replace(measured={**found.measured, "latency": one}), asked(guard_rails=(LATENCY,)))
    assert (told.decision, told.reasons) == ("not enough evidence", ("latency is not defined in these rows",))


def verdicts(lift: float, config: ShippingConfig, logs: int = 1000, harm: float | None = None) -> list[Verdict]:
    generator = np.random.default_rng(5)
    return [decide("new", findings(150, lift, generator, harm), config, generator) for _ in range(logs)]


def test_candidates_without_effect_are_shipped_as_often_as_was_risked() -> None:
    """Monte Carlo error of 1,000 logs: 0.0095."""
    found = verdicts(0.0, asked(risk=0.1, draws=50))
    ships, refusals = (np.mean([v.decision == decision for v in found]) for decision in ("ship", "refuse"))
    assert 0.07 < ships < 0.1 + 3 * 0.0095
    assert 0.07 < refusals < 0.1 + 3 * 0.0095


def test_a_candidate_at_its_guard_rail_is_shipped_as_often_as_was_risked() -> None:
    """A gain beyond doubt, and exactly the harm that is too much: 0.3 x 0.1."""
    rail = GuardRail("hides", 0.03, higher_is_better=False)
    found = verdicts(0.6, asked(risk=0.1, draws=50, guard_rails=(rail,)), 500, harm=0.1)
    ships = np.mean([v.decision == "ship" for v in found])
    assert 0.05 < ships < 0.1 + 3 * 0.0134


def test_too_large_a_share_is_as_rare_as_was_risked() -> None:
    """The true gain is -0.03, of which 0.006 is tolerated: a share of 0.2, at most, is safe."""
    found = verdicts(-0.1, asked(risk=0.1, tolerated_loss=0.006, draws=50), 500)
    assert {v.decision for v in found} >= {"mix", "refuse"}
    assert 0.0 < np.mean([v.share > 0.2 for v in found]) < 0.1 + 3 * 0.0134


def test_skewed_weights_ship_no_more_than_was_risked() -> None:
    """Headline 1 is shown in 10 % by the incumbent and in 60 % by the candidate; 10 % are clicked, whichever it is."""
    generator, ships = np.random.default_rng(1), 0
    for _ in range(400):
        shown, click = generator.random(800) < 0.1, generator.random(800) < 0.1
        propensity, target = np.where(shown, 0.1, 0.9), np.where(shown, 0.6, 0.4)
        log = ContextualLog(np.repeat(np.arange(400), 2), click * 1.0, propensity, target)
        measured = {"click_rate": Measured(contextual.snips(log), contextual.on_policy(log))}
        told = Findings(measured, contextual.weights(log), Volume((100.0,), 100.0))
        ships += decide("new", told, asked(risk=0.1, draws=50), generator).decision == "ship"
    assert 0.02 < ships / 400 < 0.1 + 3 * 0.015
