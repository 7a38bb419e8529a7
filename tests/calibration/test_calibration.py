"""A world that was simulated is found again from its log, and what no log tells is listed."""

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from newsrec import config as configs
from newsrec.calibration import report
from newsrec.calibration.comparison import Calibration, calibrate
from newsrec.calibration.fitting import CannotCalibrate, FittingConfig, value_of, with_values
from newsrec.calibration.knobs import LAWS, OF_RESPONSE, REASONS, knobs, reason
from newsrec.calibration.moments import GROUPS
from newsrec.datasets import mind
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.parameters import Estimate, parameters
from newsrec.simulator.rollout import simulate

PLAIN = {"bots": 0.0, "cookie_clearers": 0.0}
"""Of 300 readers one or none is a bot, and they differ much."""
BASE = {"readers": 1, "days": 4, "slate_size": 8, "candidates": 80, "shocks": {"per_month": 0.0}, "population": PLAIN}
TRUTH = {
    **BASE,
    "readers": 300,
    "seed": 12,
    "articles_per_day": 40,
    "newsroom": {"shelf_life_hours": 30.0},
    "population": {"visits_per_day": 0.7, "activity_spread": 0.5, "patience": 0.55, "patience_spread": 1.0, **PLAIN},
    "utility": {"dwell_seconds": 12.0, "dwell_spread": 1.2, "base": -2.2, "position_bias": 0.7},
    "arrival": {"late_share": 0.2, "late_minutes": 15.0},
}
CHANGED = (
    "newsroom.shelf_life_hours",
    "population.visits_per_day",
    "population.activity_spread",
    "population.patience",
    "population.patience_spread",
    "utility.dwell_seconds",
    "utility.dwell_spread",
    "utility.base",
    "utility.position_bias",
    "arrival.late_share",
    "arrival.late_minutes",
)


def world(values: dict) -> SimulationConfig:
    return configs.from_mapping(SimulationConfig, values)


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    log = simulate(world(TRUTH))
    return calibrate(log, world(BASE), FittingConfig(readers=300, worlds=4, draws=300, seed=3))


@pytest.mark.slow
def test_parameters_come_back_within_their_intervals(calibration: Calibration) -> None:
    """At 95 % one of the eleven that were changed may lie outside, by no more than half of its interval's width."""
    fitted = {found.parameter: found for found in calibration.fitted}
    truth, start, outside, as_before = world(TRUTH), world(BASE), [], []
    for name in CHANGED:
        found, value = fitted[name], value_of(truth, name)
        width = found.high - found.low
        assert found.low - width / 2 <= value <= found.high + width / 2, (name, value, found)
        outside += [name] * (not found.low <= value <= found.high)
        as_before += [name] * (found.low <= value_of(start, name) <= found.high)
    assert len(outside) <= 1, outside
    assert len(as_before) <= 1, as_before  # where the search began


@pytest.mark.slow
def test_what_stands_in_the_log_is_read_off(calibration: Calibration) -> None:
    config = calibration.config
    assert (config.days, config.start, config.slate_size) == (4, "2024-03-04", 8)
    assert config.articles_per_day == pytest.approx(40, abs=1)
    assert config.readers == pytest.approx(300, rel=0.08)
    assert not calibration.only_clicked


@pytest.mark.slow
def test_every_claim_of_the_world_is_fitted_or_assumed_with_a_reason(calibration: Calibration) -> None:
    told = {found.parameter for found in calibration.fitted} | set(calibration.read_off)
    assert not told & set(calibration.assumed)
    claims = {claim.path for claim in parameters(SimulationConfig()) if claim.origin == "assumed"}
    idle = {path for path in claims if path.partition(".")[0] in ("cascade", "self_exciting")}
    assert claims - idle == (told | set(calibration.assumed)) & claims
    assert calibration.assumed["elasticity"].startswith("what readers felt is in no log")
    assert all(calibration.assumed.values())


@pytest.mark.slow
def test_the_fitted_world_is_like_the_log(calibration: Calibration) -> None:
    log, simulated = calibration.log, calibration.simulated
    for name in ("sessions_a_day", "slates_a_session", "click_rate", "dwell_median", "return_24h", "late_minute"):
        assert simulated[name].value[0] == pytest.approx(log[name].value[0], rel=0.2), name
    assert np.isnan(simulated["gaps"].low).all()


@pytest.mark.slow
def test_the_written_world_is_simulated_as_it_is_and_says_how_it_is_known(
    calibration: Calibration, tmp_path: Path
) -> None:
    out = report.write(tmp_path / "out", "events:log", calibration)
    again = configs.load(SimulationConfig, out / "world.toml")
    for found in calibration.fitted:
        assert value_of(again, found.parameter) == pytest.approx(found.value, rel=1e-3), found.parameter
    assert (again.days, again.readers) == (calibration.config.days, calibration.config.readers)
    text = (out / "world.toml").read_text()
    assert text.startswith("# Fitted to events:log\n")
    known = {claim.path: claim.estimate for claim in parameters(again, again.estimated) if claim.estimate}
    assert set(known) == {found.parameter for found in calibration.fitted}
    (stay,) = (found for found in calibration.fitted if found.parameter == "population.patience")
    assert known["population.patience"] == Estimate(
        "population.patience", *(float(f"{x:.4g}") for x in stay[1:4]), 0.95, stay.readers, "events:log"
    )
    assert "late_share = " in text
    assert "readers" not in tomllib.loads(text).get("population", {})
    line = next(line for line in text.splitlines() if line.startswith("days = "))
    assert line == "days = 4  # read off the log"
    (line,) = (line for line in text.splitlines() if line.startswith("per_month"))
    assert line == "per_month = 0.0  # given"
    assert (out / "curves.png").stat().st_size > 20_000
    found = json.loads((out / "calibration.json").read_text())
    assert found["statistics"]["gaps"]["log"]["at"][0] == 0.5
    assert found["statistics"]["gaps"]["inside"] in (True, False)
    markdown = (out / "report.md").read_text()
    assert "| `elasticity` | what readers felt is in no log" in markdown
    assert "| population.patience |" in markdown
    report.write(out, "events:log", calibration)
    (out / "thesis.tex").write_text("words")
    with pytest.raises(FileExistsError, match="exists and is no calibration; expected a new or an empty folder"):
        report.write(out, "events:log", calibration)


def test_a_log_that_tells_nothing_is_refused_with_all_reasons(real_data: Callable[[str], Path]) -> None:
    log = mind.read(real_data("mind-5k"), "America/New_York")
    with pytest.raises(CannotCalibrate) as refused:
        calibrate(log, SimulationConfig(), FittingConfig(draws=2))
    for part in (
        "the log tells no parameter: population.visits_per_day, population.activity_spread, population.patience, ",
        "323 of 4,637 readers have a second session: the log is a sample of visits",
        "utility.dwell_seconds, utility.dwell_spread: needs at least 30 readers with a dwell, found 0",
        "100% of the slates have a click: the log left the others out",
    ):
        assert part in str(refused.value)


def test_the_terminal_shows_what_is_told_and_below_why_the_rest_is_not(calibration: Calibration) -> None:
    console = Console(width=140, record=True, file=StringIO())
    refusal = "needs at least 30 readers with a dwell, found 4"
    log = calibration.log | {"dwell_p90": calibration.log["dwell_p90"]._replace(refusal=refusal)}
    console.print(report.tables(calibration._replace(log=log)))
    told, refused = console.export_text().split("not told")
    assert "dwell_median" in told
    assert "dwell_p90" not in told
    assert refused.split()[:3] == ["why", "dwell_p90", "needs"]
    assert refusal in refused
    all_told = {name: found._replace(refusal="") for name, found in calibration.log.items() if not found.refusal}
    console.print(report.tables(calibration._replace(log=all_told)))
    assert "not told" not in console.export_text()


def test_what_an_earlier_log_told_is_kept_beside_what_this_one_tells(calibration: Calibration) -> None:
    earlier = [Estimate(name, 0.5, 0.4, 0.6, 0.95, 50, "earlier") for name in ("cascade.haste", "population.patience")]
    carried = calibration._replace(config=replace(calibration.config, estimated=tuple(earlier)))
    again = configs.from_mapping(SimulationConfig, tomllib.loads(report.to_toml("events:later", carried)))
    logs = {estimate.parameter: estimate.log for estimate in again.estimated}
    assert logs["cascade.haste"] == "earlier"
    assert logs["population.patience"] == "events:later"


def test_a_log_of_few_readers_says_how_many_each_parameter_needs() -> None:
    """Twelve readers with two sessions each, who click and dwell."""
    few = {**BASE, "readers": 12, "days": 3, "population": {**PLAIN, "visits_per_day": 3.0, "activity_spread": 0.1}}
    with pytest.raises(CannotCalibrate) as refused:
        calibrate(simulate(world(few)), world(BASE), FittingConfig(draws=2))
    about = dict(reversed(part.rsplit(": ", 1)) for part in str(refused.value).split("; "))
    assert about["needs at least 20 readers with a second session, found 12"].endswith(
        "population.visits_per_day, population.activity_spread"
    )
    assert about["needs at least 30 readers with a dwell, found 12"] == "utility.dwell_seconds, utility.dwell_spread"
    assert about["needs at least 30 readers with a slate, found 12"] == "utility.position_bias"


@pytest.mark.parametrize("law", OF_RESPONSE)
def test_knobs_turn_parameters_that_exist_by_moments_that_are_measured(law: str) -> None:
    config = world({"response_family": law})
    measured = {name for group in GROUPS for name in group.names}
    claims = {claim.path: claim.value for claim in parameters(SimulationConfig())}
    for knob in knobs(config):
        assert knob.moment in measured
        assert knob.scale.bounded(knob.scale.free(claims[knob.parameter])) == pytest.approx(claims[knob.parameter])
        for far in (-3.0, 3.0):  # a search that overshoots finds a possible world
            turned = with_values(config, {knob.parameter: knob.scale.bounded(far)})
            assert value_of(turned, knob.parameter) == knob.scale.bounded(far)


def test_reasons_are_of_parameters_that_exist() -> None:
    paths = {claim.path for claim in parameters(SimulationConfig())}
    names = paths | {path.partition(".")[0] for path in paths}
    assert set(REASONS) <= names
    assert {table for tables in LAWS.values() for table in tables} <= names
    assert reason("cascade.persistence") != reason("cascade.quality")


@pytest.mark.parametrize(("values", "found"), [({"readers": 0}, "readers is 0"), ({"confidence": 1.0}, "confidence")])
def test_an_impossible_fit_is_refused(values: dict, found: str) -> None:
    with pytest.raises(configs.InvalidConfig, match=found):
        configs.from_mapping(FittingConfig, values)
