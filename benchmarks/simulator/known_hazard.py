"""Is return estimated rightly from logs that end too early, where the truth is known?

At elasticity 0 every reader's hazard is known: habit alone. So each visit's true probability of another one within 48
hours is one minus the exponential of minus an integral. The Kaplan-Meier estimate from the log, cut after 3, 7 or 14
days, must come within one percentage point of the mean of those over the same visits. What not to do is printed
beside it: leaving open gaps out, and counting them as lost.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from benchmarks.results import Bar, Part
from newsrec.evaluation.observations import Observations, observe
from newsrec.evaluation.resampling import resample
from newsrec.evaluation.survival import Gaps, survival
from newsrec.events import EventLog, microseconds
from newsrec.features import DAY, SESSION_GAP_MINUTES
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.identity import ids, user_number
from newsrec.simulator.readers import WEEK_HOURS, PopulationConfig, habit_table, settle
from newsrec.simulator.rollout import simulate
from newsrec.simulator.shocks import ShockConfig

SEEDS = [41]
CUTS = (3, 7, 14)
WITHIN_HOURS, NEAREST = 48.0, 0.01
STEP_HOURS = 0.25
"""Of the integral."""


@dataclass(frozen=True)
class Size:
    """How much is simulated."""

    readers: int = 20_000
    draws: int = 200


FULL, QUICK = Size(), Size(readers=400, draws=20)


def protocol(size: Size) -> str:
    return (
        f"{size.readers:,} readers whose hazard is known, 14 days cut at 3, 7 and 14; P(next visit within 48 hours) by "
        f"Kaplan-Meier less the mean of the true probabilities of the same visits; interval resamples readers."
    )


def measure(size: Size) -> Part:
    config = world(size.readers)
    log, figures, bars = simulate(config), {}, []
    for days in CUTS:
        observed = observe(cut(log, config.start_time + days * DAY))
        truth = true_return(config, observed)
        gaps, readers = observed.gaps, observed.readers
        visits, right = np.bincount(observed.sessions.reader), np.bincount(observed.sessions.reader, truth)

        def error(
            weight: np.ndarray, gaps: Gaps = gaps, visits: np.ndarray = visits, right: np.ndarray = right
        ) -> np.ndarray:
            return 1.0 - survival(gaps, np.array([WITHIN_HOURS]), weight) - weight @ right / (weight @ visits)

        found = resample(error, readers, np.random.default_rng(SEEDS[0]), size.draws)
        low, high = (float(end[0]) for end in found.band(0.95))
        soon = gaps.ended & (gaps.hours <= WITHIN_HOURS)
        figures[f"{days}_days"] = {
            "truth": float(truth.mean()),
            "kaplan_meier": float(truth.mean() + found.value[0]),
            "open_gaps_left_out": float(soon.sum() / gaps.ended.sum()),
            "open_gaps_lost": float(soon.mean()),
            "error": {"value": found.value[0], "low": low, "high": high},
            "readers": readers,
            "visits": len(truth),
        }
        off = float(found.value[0])
        name = f"return within 48 hours less its truth, log of {days} days"
        bars.append(Bar(name, off, (low, high), "within 0.01", abs(off) <= NEAREST))
    return Part({"known_hazard": figures}, bars)


def world(readers: int) -> SimulationConfig:
    """Nothing but habit moves its readers; nobody is a program or clears cookies; slates do not matter."""
    people = PopulationConfig(bots=0.0, cookie_clearers=0.0)
    return SimulationConfig(
        readers=readers, days=CUTS[-1], seed=SEEDS[0], elasticity=0.0, slate_size=1, candidates=5, articles_per_day=10,
        population=people, shocks=ShockConfig(per_month=0.0),
    )  # fmt: skip


def cut(log: EventLog, end: int) -> EventLog:
    """``log`` as it stood at ``end`` (microseconds)."""
    recommendations = log.recommendations.filter(pa.array(microseconds(log.recommendations["time"]) < end))
    return log._replace(
        recommendations=recommendations,
        feedback=log.feedback.filter(pa.array(microseconds(log.feedback["received_at"]) < end)),
    )


def true_return(config: SimulationConfig, observed: Observations) -> np.ndarray:
    """[S] for each session the probability that the next one begins within WITHIN_HOURS of its end."""
    number = np.arange(config.readers)
    user = ids(config.seed, "u", user_number(config.seed, number, np.zeros_like(number)))
    of_decision = pc.index_in(observed.log.recommendations["user_id"], value_set=user).to_numpy()
    of_reader = np.empty(observed.readers, np.int64)
    of_reader[observed.reader] = of_decision
    sessions, population = observed.sessions, settle(config.population, number, config.seed)
    reader = of_reader[sessions.reader]  # [S]
    row, end = torch.from_numpy(reader), torch.from_numpy(sessions.end)
    clock = population.rhythm_clock(row, end).numpy()  # [S] hours into the week
    ahead = np.arange(SESSION_GAP_MINUTES / 60.0, WITHIN_HOURS, STEP_HOURS) + STEP_HOURS / 2.0
    table, kind, habit = habit_table(), population.habit.numpy()[reader], np.zeros(len(reader))
    for hours in ahead:
        habit += STEP_HOURS * table[kind, ((clock + hours) % WEEK_HOURS).astype(np.int64)]
    return -np.expm1(-population.visits_per_hour.numpy()[reader] * habit)
