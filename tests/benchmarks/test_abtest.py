"""The benchmark of experiments: it runs, its readers are what it says, and its arithmetic is right."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks.abtest.anytime import proportion
from benchmarks.abtest.population import DAYS, Population, lifted, population
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def people() -> Population:
    return population(150)


@pytest.mark.slow
def test_a_quick_run_measures_every_part(python: Path, tmp_path: Path) -> None:
    out = tmp_path / "abtest.json"
    command = [python, "-m", "benchmarks.abtest", "--quick", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read = json.loads(out.read_text())
    parts = {"population", "anytime", "planned", "variance", "early"}
    assert parts == set(read["figures"]) == set(read["protocol"]) == set(read["seeds"])
    assert len({bar["name"] for bar in read["bars"]}) == len(read["bars"]) == 9
    rates = read["figures"]["anytime"]
    assert rates["sequence"]["rate"] < rates["plain_daily"]["rate"]
    assert read["figures"]["variance"]["left"] < 0.5


def test_an_unknown_part_is_refused_by_name(python: Path) -> None:
    command = [python, "-m", "benchmarks.abtest", "--only", "magic"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "magic" in done.stderr


def test_the_population_lives_28_days_after_28_and_its_past_foretells_them(people: Population) -> None:
    assert 100 < len(people) <= 150
    assert people.days.max() <= DAYS
    assert people.days.min() == 0.0  # who never came back is among them
    assert (people.before[:, 0] > 0.0).all()
    assert people.rho_squared > 0.5
    assert people.early.shape == (len(people), 7)


def test_draws_are_of_the_population_and_follow_the_weights(people: Population) -> None:
    generator = np.random.default_rng(0)
    drawn = people.draw(40_000, generator)
    assert drawn.days.mean() == pytest.approx(people.mean, abs=0.15)
    assert np.corrcoef(drawn.days, drawn.before[:, 0])[0, 1] ** 2 == pytest.approx(people.rho_squared, abs=0.03)
    tilted = people.draw(40_000, generator, np.exp(0.1 * people.days))
    assert tilted.days.mean() == pytest.approx(np.average(people.days, weights=np.exp(0.1 * people.days)), abs=0.15)


def test_a_lift_is_as_large_as_asked_for(people: Population) -> None:
    days = people.draw(40_000, np.random.default_rng(1)).days
    after = lifted(days, 0.1, float(days.mean()), np.random.default_rng(2))
    assert after.mean() / days.mean() == pytest.approx(1.1, abs=0.005)
    assert (after >= days).all()
    assert after.max() <= DAYS


def test_wilson_by_hand() -> None:
    rate, (low, high) = proportion(np.array([1.0] * 5 + [0.0] * 95))
    assert rate == 0.05
    assert (low, high) == pytest.approx((0.02154, 0.11175), abs=1e-4)
