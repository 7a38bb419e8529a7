"""The benchmark of the simulator: it runs, its measures are right, and a broken world or planner does not pass it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.results import mean, ratio
from benchmarks.simulator import click_model, headroom, known_hazard, return_law
from benchmarks.simulator.click_model import Judged, auc, calibration_error, double_sigmoid, judged
from benchmarks.simulator.meaning import WORLDS
from newsrec.evaluation.observations import observe
from newsrec.features import DAY
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.oracle import greedy_click
from newsrec.simulator.rollout import simulate
from tests.conftest import ROOT


@pytest.mark.slow
def test_a_quick_run_writes_every_part_and_says_what_was_not_met(python: Path, tmp_path: Path) -> None:
    out = tmp_path / "simulator.json"
    command = [python, "-m", "benchmarks.simulator", "--quick", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read = json.loads(out.read_text())
    parts = {"click_model", "return_law", "meaning", "headroom", "known_hazard"}
    assert parts <= set(read["figures"]) == set(read["protocol"]) == set(read["seeds"])
    assert len(read["bars"]) > 40
    names = [bar["name"] for bar in read["bars"]]
    assert len(set(names)) == len(names)
    assert "planner over" in done.stdout


def test_an_unknown_part_is_refused_by_name(python: Path) -> None:
    command = [python, "-m", "benchmarks.simulator", "--only", "magic"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "magic" in done.stderr


def test_means_and_ratios_carry_their_intervals() -> None:
    found = mean(np.array([1.0, 2.0, 3.0, 4.0]))
    assert found.value == 2.5
    assert found.high - found.value == pytest.approx(1.96 * (5 / 3) ** 0.5 / 2)
    same = ratio(np.array([2.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0]))
    assert same == pytest.approx((2.0, 2.0, 2.0))


def test_auc_and_calibration_error_by_hand() -> None:
    """Four shown articles; one pair of (clicked, not) of four is a tie, one is wrong. Weights are copies of readers."""
    found = Judged(np.array([0, 0, 1, 1]), np.array([0.4, 0.2, 0.2, 0.1]), np.array([True, False, True, False]))
    assert auc(found)(np.ones(2)) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert auc(found)(np.array([1.0, 0.0])) == pytest.approx(1.0)
    low, high = abs(0 - 0.1 + 0 - 0.2), abs(1 - 0.2 + 1 - 0.4)  # equal chances keep their order
    assert calibration_error(found, bins=2)(np.ones(2)) == pytest.approx((low + high) / 4)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["utility", "cascade"])
def test_clicks_can_be_learned_unless_they_went_through_two_sigmoids(family: str) -> None:
    """Held-out readers in later days; four times as many readers and days, as in the benchmark, bring .70."""
    size = click_model.Size(readers=700, days=14, train_days=10, passes=5)
    config = SimulationConfig(readers=700, days=14, seed=12, response_family=family)
    sound = judged(config, size)
    assert auc(sound)(np.ones(sound.reader.max() + 1)) > 0.62
    assert calibration_error(sound)(np.ones(sound.reader.max() + 1)) < 0.03, "on a sixteenth of the benchmark's readers"
    size = click_model.Size(readers=200, days=10, train_days=7, passes=3)
    config = SimulationConfig(readers=200, days=10, seed=12, response_family=family)
    with double_sigmoid(family):
        broken = judged(config, size)
    assert broken.clicked.mean() > 3 * sound.clicked.mean()
    assert auc(broken)(np.ones(broken.reader.max() + 1)) < 0.58
    assert simulate(SimulationConfig(readers=20, days=3, response_family=family)).feedback.num_rows  # sound again


@pytest.mark.slow
def test_return_is_estimated_from_logs_that_end_too_early() -> None:
    """Within 1.5 points on 6,000 readers, where leaving open gaps out or counting them as lost is far off."""
    found = known_hazard.measure(known_hazard.Size(readers=6_000, draws=20))
    assert [bar.name.endswith(f"{days} days") for bar, days in zip(found.bars, (3, 7, 14), strict=True)] == [True] * 3
    for bar in found.bars:
        assert bar.value is not None
        assert abs(bar.value) < 0.015
    three = found.figures["known_hazard"]["3_days"]
    assert three["open_gaps_left_out"] > three["truth"] + 0.2
    assert three["open_gaps_lost"] < three["truth"] - 0.1


def test_a_log_cut_in_time_holds_what_was_known_then() -> None:
    config = known_hazard.world(300)
    log = simulate(config)
    early = known_hazard.cut(log, config.start_time + 3 * DAY)
    assert 0 < early.recommendations.num_rows < log.recommendations.num_rows / 3
    assert observe(early).end < config.start_time + 3 * DAY


@pytest.mark.slow
@pytest.mark.parametrize("families", WORLDS, ids="-".join)
def test_nobody_beats_the_planner(families: tuple[str, str]) -> None:
    """By more than chance, on 250 readers: else headroom would mean nothing. It is above 3 % of perfect clicks."""
    worlds = headroom.worlds_of(families, headroom.Size(readers=250, worlds=1, days=14))
    days = {name: headroom.active_days(worlds, act) for name, act in headroom.POLICIES.items()}
    planned = days.pop(headroom.PLANNER)
    for name, others in days.items():
        assert mean(others - planned).low <= 0, name
    assert ratio(planned - days[headroom.CLICKS], days[headroom.CLICKS]).value > headroom.LEAST


@pytest.mark.slow
def test_a_planner_that_is_beaten_voids_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headroom, "POLICIES", headroom.POLICIES | {headroom.PLANNER: greedy_click})
    monkeypatch.setattr(headroom, "WORLDS", [("cascade", "hazard")])
    monkeypatch.setattr(headroom, "COSTS", ())
    found = headroom.measure(headroom.Size(readers=150, worlds=1, days=14))
    assert [bar.met for bar in found.bars] == [False, False]
    assert found.figures["headroom"]["cascade-hazard"]["headroom"] is None


def test_without_the_real_log_no_return_law_is_claimed(tmp_path: Path) -> None:
    found = return_law.measure(return_law.QUICK, tmp_path)
    assert len(found.bars) == len(return_law.ASKED)
    for bar in found.bars:
        assert not bar.met
        assert str(tmp_path / "ebnerd-test") in bar.bar


@pytest.mark.slow
def test_the_fitted_world_is_held_to_the_log_s_intervals(real_data: Callable[[str], Path]) -> None:
    data = real_data("ebnerd-test").parent
    found = return_law.measure(return_law.Size(readers=150, worlds=1, draws=100), data)
    bars = {bar.name: bar for bar in found.bars}
    assert bars["candidates"].value is None
    assert "not told by this log: every candidate was shown" in bars["candidates"].bar
    for name in ("next-day return", "sessions a day", "return within 48 hours", "dwell, median"):
        assert bars[name].met, bars[name]
