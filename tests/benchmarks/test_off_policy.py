"""The benchmark of off-policy evaluation: it runs, its worlds hold, and a wrong estimator does not pass."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.off_policy import assumptions, efficiency, open_bandit
from benchmarks.off_policy.synthetic import choices, draw_choices, draw_slates, slates
from newsrec.datasets import obd
from newsrec.evaluation.off_policy import contextual, slate
from tests.conftest import ROOT


@pytest.mark.slow
def test_a_quick_run_writes_every_part(python: Path, tmp_path: Path) -> None:
    out = tmp_path / "off_policy.json"
    command = [python, "-m", "benchmarks.off_policy", "--quick", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read = json.loads(out.read_text())
    assert (
        {"efficiency", "assumptions", "gate", "open_bandit", "policies", "speed"}
        == set(read["figures"])
        == set(read["protocol"])
    )
    names = [bar["name"] for bar in read["bars"]]
    assert len(set(names)) == len(names) > 20
    assert read["figures"]["speed"]["intervals"] == 14


def test_an_unknown_part_is_refused_by_name(python: Path) -> None:
    command = [python, "-m", "benchmarks.off_policy", "--only", "magic"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "magic" in done.stderr


def test_the_truth_of_choices_is_what_their_policy_earns() -> None:
    """Its own log: the target acts."""
    world = choices(seed=0)
    log, _, _ = draw_choices(world._replace(behaviour=world.target), 200_000, np.random.default_rng(1))
    assert log.reward.mean() == pytest.approx(world.truth, abs=4 * log.reward.std() / 200_000**0.5)
    assert contextual.weights(log) == pytest.approx(np.ones(200_000))


def test_the_efficiency_bound_is_the_variance_of_dr_with_the_true_model() -> None:
    world = choices(seed=0)
    log, context, action = draw_choices(world, 200_000, np.random.default_rng(1))
    log = log._replace(q=world.click[context, action], v=(world.target * world.click).sum(1)[context])
    terms = contextual.doubly_robust(log).parts[0].above
    assert terms.var() == pytest.approx(world.efficiency_bound, rel=0.03)


@pytest.mark.parametrize("readers", ["independent", "cascade", "interacting"])
def test_the_truth_of_slates_is_what_their_policy_earns(readers: str) -> None:
    world = slates(readers, seed=0)
    own = world._replace(behaviour=world.target, marginal_behaviour=world.marginal_target)
    log = draw_slates(own, 100_000, np.random.default_rng(1))
    earned = log.reward.sum(1)
    assert earned.mean() == pytest.approx(world.truth, abs=4 * earned.std() / 100_000**0.5)
    assert world.behaviour.prod(2).sum(1) == pytest.approx(np.ones(20))
    third = world.slates[:, 2] == 4  # the fifth article at the last place
    for given, found in ((world.behaviour, world.marginal_behaviour), (world.target, world.marginal_target)):
        expected = given.prod(2)[:, third].sum(1, keepdims=True)
        assert found[:, third, 2] == pytest.approx(np.tile(expected, third.sum()))
    weight = slate.place_weights(draw_slates(world, 100_000, np.random.default_rng(1)))
    assert weight.mean(0) == pytest.approx(np.ones(3), abs=0.02)


def test_a_wrong_estimator_is_not_as_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    def unmet() -> set[str]:
        found = assumptions.measure(assumptions.Size(rows=2_000, runs=60))
        return {bar.name.partition(", ")[2] for bar in found.bars if not bar.met}

    watched = {"cascade readers", "single choices, broken: the propensities"}
    assert not unmet() & watched
    monkeypatch.setitem(assumptions.CHOICES, "DR", contextual.ips)  # right where its propensities are
    monkeypatch.setitem(assumptions.SLATES, "cascade-DR", slate.independent_ips)
    assert watched <= unmet()


def test_intervals_of_rows_would_not_pass() -> None:
    """Forty decisions of a reader share their context."""
    found = efficiency.of_runs(choices(efficiency.SEEDS[0]), efficiency.Size(4_000, 100, 100), decisions_a_reader=40)
    assert found["DR"]["covered_if_rows_were_readers"] < 0.88
    assert found["DR"]["covered"] > 0.86


def test_what_bts_would_have_done_is_read_from_its_log(real_data: Callable[[str], Path]) -> None:
    log = obd.read(real_data("obd-men"))
    random, bts = (open_bandit.campaign(log, name) for name in obd.POLICIES)
    assert (random.click.sum(), bts.click.sum()) == (46, 69)
    assert random.propensity == pytest.approx(np.full(10_000, 1 / 34))
    assert np.bincount(random.place) == pytest.approx(np.full(3, 10_000 / 3), rel=0.1)
    own = open_bandit.acting(bts, bts)
    assert own.sum(1) == pytest.approx(np.ones(10_000))
    scaled = own[np.arange(10_000), bts.item]
    assert np.corrcoef(scaled, bts.propensity)[0, 1] > 0.95
    away = open_bandit.acting(bts, random)[np.arange(10_000), random.item] * 34
    assert away.mean() == pytest.approx(1.0, abs=4 * away.std() / 100)


def test_without_the_real_log_the_bar_says_where_it_was_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEWSREC_DATA", str(tmp_path))
    (bar,) = open_bandit.measure(open_bandit.QUICK).bars
    assert (bar.value, bar.met) == (None, False)
    assert str(tmp_path) in bar.bar
