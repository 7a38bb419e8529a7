"""The benchmark of the gate: it runs, its candidates are what it says, and a careless gate does not pass."""

from dataclasses import replace

import pytest

from benchmarks.off_policy import gate
from newsrec.evaluation.off_policy import signs
from newsrec.evaluation.off_policy.terms import Terms
from newsrec.evaluation.shipping.verdict import Verdict


@pytest.fixture(scope="module")
def found() -> tuple[Verdict, Verdict]:
    """Of one small log, in which reading moves no return: substance for returns, bait for clicks."""
    config, decisions = gate.of_seed(gate.SEEDS[0], 200, 5, 0.0)
    lenient = [replace(asked, least_effective_readers=20.0) for asked in (gate.RETURNS, gate.CLICKS)]
    return (
        gate.ask(gate.SUBSTANCE, decisions, config, lenient[0]),
        gate.ask(gate.BAIT, decisions, config, lenient[1]),
    )


def test_bait_wins_clicks_and_is_refused_for_what_they_cost(found: tuple[Verdict, Verdict]) -> None:
    clicks, dwell, hides = found[1].bounds
    assert clicks.gain > 0.0
    assert dwell.gain < 0.0
    assert hides.gain < 0.0


def test_bars_count_what_was_decided(found: tuple[Verdict, Verdict]) -> None:
    returns, bait = found
    named = replace(bait, decision="refuse", sentence="refuse bait: dwell: ...", bounds=bait.bounds)
    shipped, mixed = replace(returns, decision="ship"), replace(returns, decision="mix")
    good = gate.bars([mixed], [named], [mixed], [shipped])
    assert [bar.met for bar in good] == [True, gate.guarded(named), True, True]
    assert not any(bar.met for bar in gate.bars([shipped], [mixed], [shipped], [mixed]))
    assert not gate.guarded(replace(named, sentence="refuse bait: click_rate"))


def test_a_gate_that_takes_what_signs_are_worth_for_certain_is_surer_than_it_may_be(
    found: tuple[Verdict, Verdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bar at elasticity 0 hangs on the error of that worth."""
    config, decisions = gate.of_seed(gate.SEEDS[0], 200, 5, 0.0)
    before = signs._value
    monkeypatch.setattr("newsrec.evaluation.off_policy.signs._value", lambda *a: certain(before(*a)))
    careless = gate.ask(gate.SUBSTANCE, decisions, config, gate.RETURNS)
    assert careless.bounds[0].error < 0.7 * found[0].bounds[0].error


def certain(terms: Terms) -> Terms:
    return Terms(terms.reader, terms.parts[:1])
