"""The worlds in configs/worlds measure like the logs that they were fitted to."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from newsrec import config as configs
from newsrec.datasets import ebnerd
from newsrec.evaluation.log_statistics import Statistic, describe, inside, points_inside
from newsrec.evaluation.observations import observe, slates_with_click
from newsrec.features import SESSION_GAP_MINUTES
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import simulate
from tests.conftest import ROOT

EBNERD = ROOT / "configs" / "worlds" / "ebnerd.toml"
FIGURES = (
    "sessions_a_day",
    "slates_a_session",
    "shown_a_slate",
    "dwell_p10",
    "dwell_median",
    "dwell_p90",
    "to_click_median",
    "gap_median",
    "gap_p90",
    "seen_again",
    "hours",
    "weekdays",
    "return_24h",
    "return_48h",
    "next_day",
)


@pytest.fixture(scope="module")
def log_and_simulated(real_data: Callable[[str], Path]) -> tuple[dict[str, Statistic], dict[str, Statistic]]:
    """A thousand resamples of the log's 38 readers; 400 simulated readers of another seed than those of the fit."""
    log = ebnerd.read(real_data("ebnerd-test"), "Europe/Copenhagen")
    generator = np.random.default_rng(0)
    world = configs.load(SimulationConfig, EBNERD, ["readers=400", "seed=77"])
    told = describe(observe(log, SESSION_GAP_MINUTES), generator)
    return told, describe(observe(slates_with_click(simulate(world)), SESSION_GAP_MINUTES), generator, draws=0)


@pytest.mark.parametrize("name", FIGURES)
def test_the_world_lies_in_the_interval_of_the_log(
    name: str, log_and_simulated: tuple[dict[str, Statistic], dict[str, Statistic]]
) -> None:
    log, simulated = log_and_simulated
    assert inside(log[name], simulated[name]), (log[name], simulated[name])


def test_the_law_of_return_lies_in_the_band_of_the_log(
    log_and_simulated: tuple[dict[str, Statistic], dict[str, Statistic]],
) -> None:
    """Kaplan-Meier curves of the gaps between sessions, at every point where the log still has readers."""
    log, simulated = log_and_simulated
    found = points_inside(log["gaps"], simulated["gaps"])
    assert len(found) > 15
    assert found.all()


def test_the_default_world_is_not_that_of_the_log(real_data: Callable[[str], Path]) -> None:
    """What the estimates do: readers of the defaults come a tenth as often."""
    log = ebnerd.read(real_data("ebnerd-test"), "Europe/Copenhagen")
    told = describe(observe(log, SESSION_GAP_MINUTES), np.random.default_rng(0), draws=200)
    default = slates_with_click(simulate(SimulationConfig(readers=200, days=7)))
    simulated = describe(observe(default, SESSION_GAP_MINUTES), np.random.default_rng(0), draws=0)
    for name in ("sessions_a_day", "next_day", "gap_median"):
        assert not inside(told[name], simulated[name]), name
