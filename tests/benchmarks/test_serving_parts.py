"""Parts of the benchmark of serving: draws against propensities, the log against answers, a soak against its start."""

import subprocess
from collections import Counter
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.serving import soak, whole
from benchmarks.serving.designs import Taken
from benchmarks.serving.load import Outcome
from benchmarks.serving.materialising import peak_mib
from benchmarks.serving.soak import Segment
from benchmarks.serving.truth import chi_square, frequencies, probabilities, refuse_other_log
from benchmarks.serving.void import Void
from newsrec import events
from newsrec.encoders.text import embed_articles
from newsrec.events import EventLog
from tests.conftest import ROOT

WEIGHTS = {"a": 0.5, "b": 0.3, "c": 0.19, "d": 0.01}


def answer(slate: Sequence[str], propensities: Sequence[float], request: str = "r") -> dict[str, Any]:
    columns = enumerate(zip(slate, propensities, strict=True))
    shown = [{"article_id": a, "propensity": p, "position": position} for position, (a, p) in columns]
    return {"request_id": request, "slate": shown}


def two_of(weights: dict[str, float]) -> dict[tuple[str, ...], tuple[float, float]]:
    """Ordered pairs without replacement -> the propensity of each of the two."""
    return {(a, b): (weights[a], weights[b] / (1.0 - weights[a])) for a, b in permutations(weights, 2)}


def drawn(count: int, seed: int, luck: dict[str, float] = WEIGHTS, told: dict[str, float] = WEIGHTS) -> list[dict]:
    """Answers by ``luck`` that tell the propensities of ``told``."""
    slates, shares = two_of(told), {slate: np.prod(p) for slate, p in two_of(luck).items()}
    answers = [answer(slate, slates[slate]) for slate in shares]
    chosen = np.random.default_rng(seed).choice(len(shares), count, p=list(shares.values()))
    return [answers[row] for row in chosen]


def p(answers: list[dict]) -> float:
    return chi_square(frequencies(answers), probabilities(answers))[2]


def test_true_propensities_are_seldom_refused_and_p_is_uniform() -> None:
    found = np.sort([p(drawn(1_000, seed)) for seed in range(100)])
    away = np.abs(found - (np.arange(100) + 0.5) / 100).max()
    assert away < 1.63 / 100**0.5, "Kolmogorov and Smirnov at 1 %"


def test_propensities_that_are_not_what_happened_are_found() -> None:
    assert p(drawn(2_000, 0, told={"a": 0.4, "b": 0.4, "c": 0.19, "d": 0.01})) < 1e-6
    greedy = [answer(("a", "b"), two_of(WEIGHTS)["a", "b"]) for _ in range(2_000)]
    assert p(greedy) < 1e-6, "slates that never came count, too"


def test_chi_square_by_hand() -> None:
    """Of 100, expected are 50, 40, 6 and 4: the last two cells are 6 and, too rare alone, part of the one before."""
    seen = Counter({("a",): 55, ("b",): 35, ("c",): 6, ("d",): 4})
    told = {("a",): 0.5, ("b",): 0.4, ("c",): 0.06, ("d",): 0.04}
    statistic, degrees, _ = chi_square(seen, told)
    assert (statistic, degrees) == (pytest.approx(25 / 50 + 25 / 40 + 0.0), 2)
    statistic, degrees, _ = chi_square(seen, {("a",): 0.5, ("b",): 0.3, ("c",): 0.06, ("d",): 0.04})
    assert (statistic, degrees) == (pytest.approx(25 / 50 + 25 / 30 + 0.0 + 100 / 14), 3), "0.1 are of others"


def test_one_request_has_one_probability_of_a_slate() -> None:
    with pytest.raises(Void, match="for the same request"):
        probabilities([answer(("a", "b"), (0.5, 0.6)), answer(("a", "b"), (0.5, 0.7))])


def log_of(*rows: dict[str, Any]) -> EventLog:
    whole = [{"user_id": "u", "session_id": "s", "time": 1, "policy": "p", "candidates": ["a", "b"], **r} for r in rows]
    articles = embed_articles(events.from_rows("articles", [{"article_id": "a", "published_at": 0, "title": "t"}]))
    return EventLog(articles, events.from_rows("recommendations", whole), events.from_rows("feedback", []))


def test_a_log_that_differs_from_the_answer_is_found() -> None:
    given = answer(("a", "b"), (0.5, 0.6), "r1")
    right = {"request_id": "r1", "slate": ["a", "b"], "propensities": [0.5, 0.6]}
    refuse_other_log([given], log_of(right))
    for other in ({"slate": ["b", "a"]}, {"propensities": [0.5, 0.61]}, {"request_id": "r2"}):
        with pytest.raises(Void, match="answered was"):
            refuse_other_log([given], log_of(right | other))


def segment(p99: float = 2.0, mib: float = 500.0, errors: dict[str, int] | None = None) -> Segment:
    return Segment(Outcome(100, 1.0, errors or {}, 1.0, p99, 9.0, 0.1), int(mib * 2**20))


def met(segments: list[Segment], degraded: float = 0.0) -> list[bool]:
    return [bar.met for bar in soak.judged(segments, 100.0, degraded).bars]


def test_a_soak_is_held_against_its_start() -> None:
    steady = [segment() for _ in range(10)]
    assert met(steady) == [True, True, True]
    assert met([*steady[:9], segment(errors={"status 503": 1})]) == [False, True, True]
    assert met(steady, degraded=1.0) == [False, True, True]
    assert met([*steady[:9], segment(mib=530.0)]) == [True, False, True]
    assert met([*steady[:9], segment(mib=520.0)]) == [True, True, True]
    assert met([*steady[:5], *(segment(p99=3.1) for _ in range(5))]) == [True, True, False]
    assert met([*steady[:9], segment(p99=30.0)]) == [True, True, True], "one bad minute is no trend"


# The whole catalogue.


@pytest.mark.parametrize(("rate", "expected"), [(600.0, True), (400.0, False)])
def test_the_whole_catalogue_has_half_of_the_requests(rate: float, expected: bool) -> None:
    def taken(requests: float, cpu_seconds: float) -> Taken:
        outcome = Outcome(round(10 * requests), 10.0, {}, 1.0, 2.0, 3.0, 1.0)
        return Taken(outcome, {"newsrec": cpu_seconds - 1.0, "redis": 1.0})

    rounds = [{100: taken(base, 8.0), 10_000: taken(rate, 9.0)} for base in (1_000.0, 900.0, 1_100.0)]
    part = whole.judged(rounds, whole.FULL)
    (bar,) = part.bars
    assert bar.value == pytest.approx(rate / 1_000.0)
    assert bar.interval == pytest.approx((rate / 1_100.0, rate / 900.0))
    assert bar.met is expected
    assert part.figures["whole"]["10,000"]["cpu_microseconds"].value == pytest.approx(9e6 / (10 * rate))


def test_the_peak_of_a_process_is_not_that_of_who_started_it(python: Path) -> None:
    code = "from benchmarks.serving.materialising import peak_mib; print(peak_mib())"
    before = float(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout)
    held = np.ones(2**30 // 8)
    after = float(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout)
    assert peak_mib() > held.nbytes / 2**20
    assert after < before + 100
