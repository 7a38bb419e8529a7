"""What is refused, and that the readers who were asked for are enough."""

import numpy as np
import pytest

from benchmarks.off_policy.synthetic import choices, draw_choices
from newsrec.evaluation.off_policy import contextual
from newsrec.evaluation.off_policy.checks import InvalidLog
from newsrec.evaluation.off_policy.contextual import ContextualLog
from newsrec.evaluation.off_policy.diagnostics import Evidence, EvidenceConfig, diagnose, judge, unsupported
from newsrec.evaluation.off_policy.terms import mean


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def log_of(readers: int, seed: int = 7) -> tuple[float, ContextualLog]:
    world = choices(seed=8)
    return world.truth, draw_choices(world, 2 * readers, np.random.default_rng(seed), decisions_a_reader=2)[0]


def judged(log: ContextualLog, config: EvidenceConfig) -> Evidence:
    return judge(contextual.snips(log), contextual.weights(log), config, generator())


def test_weights_by_hand() -> None:
    """Readers with weights 3, 0 and 1 in all."""
    found = diagnose(np.array([5, 5, 6, 7]), np.array([1.0, 2.0, 0.0, 1.0]), generator())
    assert (found.decisions, found.readers) == (4, 3)
    assert found.effective_readers == pytest.approx(16 / 10)
    assert (found.largest, found.largest_share) == (2.0, 0.75)
    assert found.mean.mean == 1.0
    assert diagnose(np.arange(2), np.zeros(2), generator()).effective_readers == 0.0


def test_effective_readers_are_all_of_them_where_nothing_is_weighed() -> None:
    found = diagnose(np.arange(50), np.ones(50), generator())
    assert found.effective_readers == pytest.approx(50.0)
    assert found.calibrated


def test_support_counts_the_mass_on_what_was_never_shown() -> None:
    behaviour, target = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]), np.array([[0.1, 0.2, 0.7], [0.0, 0.5, 0.5]])
    assert unsupported(behaviour, target) == pytest.approx([0.7, 0.0])
    with pytest.raises(InvalidLog, match="behaviour probabilities: 1 of 2 lines do not sum to 1"):
        unsupported(behaviour * [[1.0], [0.5]], target)


def test_enough_readers_get_a_number() -> None:
    truth, log = log_of(5_000)
    found = judged(log, EvidenceConfig(half_width=0.02, highest=1.0))
    assert found.reasons == ()
    assert found.value.low <= truth <= found.value.high
    assert found.more_readers == 0
    assert found.sentence.startswith(f"{found.value.mean:.4g} [")


def test_too_few_are_told_how_many_more_and_those_are_enough() -> None:
    wanted = EvidenceConfig(half_width=0.02, highest=1.0)
    _, log = log_of(400)
    refused = judged(log, wanted)
    assert refused.value is None
    assert "the half width is" in refused.reasons[0]
    assert refused.sentence.startswith(f"not enough evidence, about {refused.more_readers:,} more readers: the half")
    assert judged(log_of(400 + refused.more_readers // 2)[1], wanted).value is None
    assert judged(log_of(400 + round(1.5 * refused.more_readers))[1], wanted).value is not None


def test_a_handful_of_effective_readers_is_refused_however_narrow_the_interval() -> None:
    """60 readers who all click: the interval has no width."""
    log = ContextualLog(np.arange(60), np.ones(60), np.full(60, 0.5), np.full(60, 0.5))
    found = judged(log, EvidenceConfig(half_width=0.1, highest=1.0))
    assert found.value is None
    assert found.reasons == ("60.0 effective readers of 60, expected 100",)
    assert found.more_readers == 40


def test_a_negative_click_rate_is_never_told() -> None:
    """One reader of two hundred has all the weight and did not click: DR says -1.4, and a refusal has no number."""
    weight = np.where(np.arange(200) == 0, 150.0, 0.25)
    log = ContextualLog(
        np.arange(200), np.zeros(200), np.full(200, 1e-3), weight * 1e-3, np.full(200, 0.5), np.full(200, 0.1)
    )
    terms = contextual.doubly_robust(log)
    assert terms.value < -0.3
    found = judge(
        terms, contextual.weights(log), EvidenceConfig(half_width=100.0, least_effective_readers=1), generator()
    )
    assert found.value is None
    assert "is not in [0, inf]" in found.sentence


def test_ends_below_zero_are_cut_off() -> None:
    values = np.tile([-0.19, 0.2], 200)
    found = judge(mean(np.arange(400), values), np.ones(400), EvidenceConfig(half_width=1.0), generator())
    assert found.value.low == 0.0 < found.value.mean
    free = EvidenceConfig(half_width=1.0, lowest=-np.inf)
    assert judge(mean(np.arange(400), values), np.ones(400), free, generator()).value.low < 0.0


def test_propensities_that_did_not_act_are_found_out_and_more_readers_do_not_help() -> None:
    _, log = log_of(5_000)
    found = judged(log._replace(behaviour=np.minimum(1.2 * log.behaviour, 1.0)), EvidenceConfig(half_width=1.0))
    assert found.value is None
    assert found.more_readers is None
    assert "more readers would not help" in found.sentence
    assert "the mean weight is in [" in found.sentence


def test_missing_support_is_refused_with_its_mass() -> None:
    _, log = log_of(2_000)
    mass = np.where(np.arange(4_000) < 1_000, 0.2, 0.0)
    config = EvidenceConfig(half_width=1.0)
    found = judge(contextual.snips(log), contextual.weights(log), config, generator(), mass)
    assert found.value is None
    assert "5.0% of what the policy shows could not be logged, in 1,000 of 4,000 decisions" in found.sentence
    assert judge(contextual.snips(log), contextual.weights(log), config, generator(), mass / 10).value is not None


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ({"half_width": 0.0}, "half_width is 0.0"),
        ({"half_width": 0.1, "lowest": 1.0, "highest": 1.0}, "lowest is 1.0 and highest 1.0"),
        ({"half_width": 0.1, "confidence": 1.0}, "confidence is 1.0"),
        ({"half_width": 0.1, "draws": 0}, "draws is 0"),
    ],
)
def test_impossible_wishes_are_refused(numbers: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        EvidenceConfig(**numbers)
