"""Whole experiments: what is the same, what is better, what is broken, and what cannot be told yet."""

import json

import numpy as np
import pytest
from rich.console import Console

from newsrec import assignment
from newsrec.config import InvalidConfig, from_mapping
from newsrec.evaluation.abtest.analysis import Analysis, analyse
from newsrec.evaluation.abtest.assigned import at_start
from newsrec.evaluation.abtest.config import ExperimentConfig
from newsrec.evaluation.abtest.report import tables, to_mapping
from newsrec.events import EventLog, InvalidEvents
from newsrec.features import DAY
from tests.evaluation.abtest.logs import NAME, START, active_log, merged

CONFIG = ExperimentConfig(control="old", readers=2000)
SINCE, DAYS = 60, 110


def experiment(
    seed: int, gain: float = 1.0, readers: int = 2000, share: float = 0.5, days: int = DAYS, arm: str = "new"
) -> EventLog:
    """Readers known for SINCE days; from their next visit on, ``arm`` makes its share come ``gain`` times as often."""
    generator = np.random.default_rng(seed)
    rate, day = generator.beta(1.0, 3.0, readers), np.arange(days)
    arms = np.where(generator.random(readers) < share, arm, "old")
    luck = generator.random((readers, days))
    visited = (luck < rate[:, None]) & (day >= SINCE)
    served = np.cumsum(visited, axis=1) - visited > 0  # before the day
    lifted = np.where((arms == arm)[:, None] & served, gain, 1.0)
    active = luck < np.clip(rate[:, None] * lifted, 0.0, 0.97)
    return active_log(active, np.zeros(readers, int), arms, SINCE, names=f"{arm}{seed}-")


def gained(gain: float) -> float:
    """Active days behind the day of the assignment that ``gain`` adds for a reader who comes in time to be counted."""
    rate = np.random.default_rng(9).beta(1.0, 3.0, 200_000)
    comes = 1.0 - (1.0 - rate) ** (DAYS - SINCE - 28)
    return float(27 * np.average(np.minimum(gain * rate, 0.97) - rate, weights=comes))


def one(log: EventLog, config: ExperimentConfig = CONFIG):
    (found,) = analyse(log, config).comparisons
    return found


def text(analysis: Analysis) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(tables(analysis))
    return captured.get()


def test_an_arm_that_is_better_is_told_with_every_figure_on_its_side() -> None:
    analysis = analyse(experiment(0, gain=1.2), CONFIG)
    (found,) = analysis.comparisons
    assert (found.arm, found.verdict) == ("new", "better")
    assert found.reason.startswith("told on day 28: +")
    truth = gained(1.2)
    for effect in (found.plain, found.cuped):
        assert effect.low < truth < effect.high
    assert found.cuped.error < 0.6 * found.plain.error
    assert found.variance_left < 0.4
    assert found.looks.low[-1] < found.cuped.low < found.cuped.high < found.looks.high[-1]
    assert found.looks.difference[-1] == pytest.approx(found.cuped.difference)
    assert found.early.effect is not None
    assert 0.5 * truth < found.early.effect.difference < 1.2 * truth
    assert found.early.effect.low > 0.0
    assert found.return_time.log_rank.early > 0.0
    assert {metric.name for metric in found.metrics if metric.q_value < 0.05} >= {"sessions", "clicks"}
    assert not found.novelty.fades
    worse = one(experiment(0, gain=0.8))
    assert (worse.verdict, worse.plain.difference < 0.0) == ("worse", True)


def test_what_is_told_is_printed_and_written() -> None:
    analysis = analyse(experiment(0, gain=1.2), CONFIG)
    printed = text(analysis)
    for part in ("new: better", "CUPED, read once", "foretold by 7 days", "back within 7 days", "split p ="):
        assert part in printed
    written = json.loads(json.dumps(to_mapping(analysis), allow_nan=False))
    (compared,) = written["comparisons"]
    assert compared["cuped"]["difference"] == analysis.comparisons[0].cuped.difference
    assert len(compared["looks"]["low"]) == len(analysis.comparisons[0].looks.day)
    assert written["config"]["control"] == "old"
    assert compared["metrics"][1]["effect"]["lift"] is None  # no dwell in either arm


def test_arms_that_are_the_same_are_called_so_or_unsure_by_what_matters() -> None:
    log = experiment(1)
    rough = one(log, ExperimentConfig(control="old", readers=2000, mde=0.2))
    assert rough.verdict == "no difference that matters"
    fine = one(log, ExperimentConfig(control="old", readers=2000, mde=0.01))
    assert fine.verdict == "not enough evidence"
    needed = int(fine.reason.split("about ")[1].split(" more")[0].replace(",", ""))
    half = 0.5 * (fine.looks.high[-1] - fine.looks.low[-1]) / (0.01 * fine.means[1])
    assert needed == pytest.approx(fine.looks.readers[-1] * (half**2 - 1.0), abs=1.0)
    assert text(analyse(log, CONFIG)).count("nan") == 0


def test_of_many_tests_of_nothing_few_are_told() -> None:
    verdicts = [one(experiment(seed, readers=400)).verdict for seed in range(100, 115)]
    assert sum(verdict in ("better", "worse") for verdict in verdicts) <= 2


def test_a_split_that_was_not_planned_breaks_the_experiment_and_one_that_was_does_not() -> None:
    log = experiment(2, share=0.3)
    analysis = analyse(log, CONFIG)
    assert analysis.split.mismatch
    assert analysis.comparisons[0].verdict == "broken"
    assert analysis.comparisons[0].reason.startswith("the readers were not split as planned (p = ")
    planned = from_mapping(ExperimentConfig, {"control": "old", "shares": {"new": 0.3, "old": 0.7}})
    assert analyse(log, planned).comparisons[0].verdict != "broken"


def test_windows_that_are_not_over_are_counted_and_nothing_is_told_of_them() -> None:
    analysis = analyse(experiment(3, gain=1.5, days=SINCE + 20), CONFIG)
    (found,) = analysis.comparisons
    assert sum(analysis.censored.values()) == sum(analysis.split.readers.values())
    assert found.verdict == "not enough evidence"
    assert found.reason == "0 and 0 readers have a whole window of 28 days, expected 100 or more in each arm"
    assert found.early.effect is not None  # the first week is seen
    assert found.early.effect.low > 0.0
    assert found.return_time.within.low > 0.0
    assert "unknown" in text(analysis)
    brief = analyse(experiment(3, days=SINCE + 3), CONFIG).comparisons[0]
    assert "were seen for 7 days, expected 100" in brief.early.why_not


def test_readers_known_before_count_with_zeros_if_they_never_come() -> None:
    shares, generator = {"new": 0.5, "old": 0.5}, np.random.default_rng(5)
    names = [f"u{i}" for i in range(1500)]
    arms = np.array([assignment.arm(name, NAME, shares, "pepper") for name in names])
    active = generator.random((1500, 90)) < generator.beta(1.0, 3.0, (1500, 1))
    leaves = (arms == "new") & (generator.random(1500) < 0.3)
    active[leaves, 50:] = False  # three in ten of the new arm never come back
    log = active_log(active, np.zeros(1500, int), arms, 50)
    config = from_mapping(ExperimentConfig, {"control": "old", "shares": shares, "readers": 1500})
    roster = at_start(log, NAME, START + 50 * DAY, shares, "pepper")
    analysis = analyse(log, config, roster)
    (found,) = analysis.comparisons
    assert analysis.never_came > 150
    assert found.verdict == "worse"
    assert found.plain.lift == pytest.approx(-0.3, abs=0.1)
    ends = found.looks.low.tolist(), found.looks.high.tolist()
    assert ends == ([found.cuped.low], [found.cuped.high])  # all windows close at once: there is one look
    by_request = analyse(log, config).comparisons[0]
    assert by_request.plain.lift > found.plain.lift + 0.15  # whoever left is not there to be counted


def test_several_arms_share_the_false_discoveries() -> None:
    log = merged(experiment(6), experiment(7, arm="newer", gain=1.3))
    found = analyse(log, from_mapping(ExperimentConfig, {"control": "old", "shares": {"new": 1, "newer": 1, "old": 2}}))
    assert [compared.arm for compared in found.comparisons] == ["new", "newer"]
    p = np.array([metric.effect.p_value for compared in found.comparisons for metric in compared.metrics])
    q = np.array([metric.q_value for compared in found.comparisons for metric in compared.metrics])
    assert len(p) == 12
    assert (q >= p - 1e-12).all()
    assert q[np.argmin(p)] == pytest.approx(min(p.min() * len(p), 1.0), rel=1.0)
    stricter = from_mapping(ExperimentConfig, {"control": "old", "any_dependence": True, "shares": found.config.shares})
    strict = [metric.q_value for compared in analyse(log, stricter).comparisons for metric in compared.metrics]
    assert (np.array(strict) >= q - 1e-12).all()
    assert max(strict) == 1.0


def test_experiments_that_cannot_be_read_are_refused() -> None:
    log = experiment(8, readers=300)
    with pytest.raises(InvalidConfig, match=r"front-page has the arms new, old; expected control \(the control\) and"):
        analyse(log, ExperimentConfig())
    mixed = experiment(8, readers=300, arm="old")
    with pytest.raises(InvalidConfig, match="has the arms old; expected old"):
        analyse(mixed, CONFIG)
    rows = log.recommendations.to_pylist()
    swapped = [row | {"arm": "new"} if row["arm"] and i % 2 else row for i, row in enumerate(rows)]
    crossed = log._replace(recommendations=log.recommendations.from_pylist(swapped, schema=log.recommendations.schema))
    with pytest.raises(InvalidEvents, match="readers in more than one arm, such as"):
        analyse(crossed, CONFIG)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"confidence": 1.0}, "confidence is 1.0, expected a share"),
        ({"mde": 0.0}, "mde is 0.0, expected a share"),
        ({"days": 0}, "days is 0, expected 1 or more"),
        ({"early_days": 40}, "early_days is 40, expected 2 to 28"),
        ({"return_days": 1}, "return_days is 1, expected 2 to 28"),
        ({"most_crossed": 2.0}, "most_crossed is 2.0, expected a share"),
        ({"shares": {"a": 0.0, "control": 1.0}}, "expected more than 0 for each arm"),
        ({"shares": {"a": 0.5, "b": 0.5}}, "control is control, expected one of the arms a, b"),
        ({"horizon": 3}, "unknown key horizon"),
    ],
)
def test_a_reading_that_cannot_be_is_refused(bad: dict, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        from_mapping(ExperimentConfig, bad)
