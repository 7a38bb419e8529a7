"""What rounds say: medians with their spread, the bars, and whether the run counts at all."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.results import Bar, Part
from benchmarks.serving.void import Void

if TYPE_CHECKING:
    from benchmarks.serving.designs import Taken

Rounds = list[dict[int, dict[str, "Taken"]]]
"""Connections -> design -> what it took, for each round."""


class Row(NamedTuple):
    """A line of the table that the bars were set with."""

    p50: float
    """Milliseconds with one connection."""
    rate: float
    """Requests a second with eight."""


TABLE = {
    "published": Row(50.0, 13.0),
    "tuned": Row(45.0, 24.0),
    "smart": Row(8.9, 231.0),
    "no-op": Row(0.30, 3150.0),
    "limit": Row(0.19, 5520.0),
}
"""Measured on two cores with Redis before any bar was set."""
NO_OP, OURS = "no-op", "newsrec"
WITHIN = 0.2
"""How far a peer's requests a second, as a share of the no-op's, may be from the table's."""
LIMIT = "limit"
"""No peer but what bars are measured by: one that is faster than the table's makes them harder, so it voids no run."""


class Spread(NamedTuple):
    """A ratio of each round: the median, the least and the most."""

    value: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        return self.low, self.high


def judged(rounds: Rounds, backend: str, strict: bool) -> Part:
    """Figures and bars of one online store. Raises Void where ``strict`` and a peer is not what it was with Redis."""
    names = list(rounds[0][1])
    figures: dict[str, Any] = {name: _figures(rounds, name) for name in names}
    figures["beside_no_op"] = beside_no_op(rounds)
    figures["times_the_requests_of"] = {
        name: spread(rounds, 8, lambda round_, name=name: _rate(round_, OURS) / _rate(round_, name))
        for name in names
        if OURS in names and name != OURS
    }
    print(f"{backend}: {told(figures['beside_no_op'])}", file=sys.stderr)
    if strict and backend == "redis":
        refuse_other_peers(figures["beside_no_op"], {backend: figures})
    return Part(figures, bars(rounds, backend))


def beside_no_op(rounds: Rounds) -> dict[str, dict[str, Any]]:
    """Peer -> its requests a second as a share of the no-op's, found and in the table."""
    found = {}
    for name, row in TABLE.items():
        if name != NO_OP and name in rounds[0][8]:
            share = spread(rounds, 8, lambda round_, name=name: _rate(round_, name) / _rate(round_, NO_OP))
            expected = row.rate / TABLE[NO_OP].rate
            found[name] = {"found": share, "table": expected, "of_table": share.value / expected}
    return found


def refuse_other_peers(found: Mapping[str, Mapping[str, Any]], designs: dict[str, Any]) -> None:
    """Raise Void, with ``designs``, for peers whose share of the no-op's rate is not within WITHIN of the table's.

    So does a limit that is slower than that.
    """
    most = dict.fromkeys(found, 1.0 + WITHIN) | {LIMIT: math.inf}
    far = {name: of for name, of in found.items() if not 1.0 - WITHIN <= of["of_table"] <= most[name]}  # NaN, too
    if far:
        raise Void(f"peers are not what they were beside the no-op: {told(far)}", designs)


def told(found: Mapping[str, Mapping[str, Any]]) -> str:
    """What ``beside_no_op`` found, in words."""
    return "; ".join(
        f"{name} answers {of['found'].value:.5f} of the no-op's requests, {of['table']:.5f} in the table"
        for name, of in found.items()
    )


def bars(rounds: Rounds, backend: str) -> list[Bar]:
    """What was promised of our predictor beside the others."""

    def ratio(connections: int, of: Callable[[Any, str], float], ours: str, other: str) -> Spread:
        return spread(rounds, connections, lambda round_: of(round_, ours) / of(round_, other))

    return [
        _at_least(f"{backend}: requests/s at c=8 beside smart", ratio(8, _rate, OURS, "smart"), 5.0),
        _at_least(f"{backend}: requests/s at c=8 beside tuned", ratio(8, _rate, OURS, "tuned"), 40.0),
        _at_most(f"{backend}: p50 at c=1 beside the limit's", ratio(1, _p50, OURS, "limit"), 3.5),
        _at_most(f"{backend}: p99 at c=8 beside smart's", ratio(8, _p99, OURS, "smart"), 1 / 8),
    ]  # fmt: skip


def spread(rounds: Rounds, connections: int, of: Callable[[Mapping[str, Any]], float]) -> Spread:
    """Of a number of each round with ``connections``."""
    return middle([of(round_[connections]) for round_ in rounds])


def middle(values: Sequence[float]) -> Spread:
    """Of ``values``, one a round."""
    return Spread(median(values), min(values), max(values))


def _at_least(name: str, found: Spread, least: float) -> Bar:
    return Bar(name, found.value, found.interval, f"{least:g} times or more", found.value >= least)


def _at_most(name: str, found: Spread, most: float) -> Bar:
    return Bar(name, found.value, found.interval, f"at most {most:g} times", found.value <= most)


def _rate(round_: Mapping[str, Any], name: str) -> float:
    return round_[name].outcome.rate


def _p50(round_: Mapping[str, Any], name: str) -> float:
    return round_[name].outcome.p50


def _p99(round_: Mapping[str, Any], name: str) -> float:
    return round_[name].outcome.p99


def _figures(rounds: Rounds, name: str) -> dict[str, Any]:
    """One design with each number of connections."""
    found: dict[str, Any] = {}
    for connections in rounds[0]:
        of = [round_[connections][name] for round_ in rounds]
        servers: Sequence[str] = list(of[0].cpu)
        found[f"c={connections}"] = {
            "requests": sum(one.outcome.requests for one in of),
            "requests_a_second": spread(rounds, connections, lambda round_: _rate(round_, name)),
            "p50_ms": spread(rounds, connections, lambda round_: _p50(round_, name)),
            "p99_ms": spread(rounds, connections, lambda round_: _p99(round_, name)),
            "longest_ms": max(one.outcome.longest for one in of),
            "cpu_microseconds": {
                server: median(1e6 * one.cpu[server] / one.outcome.requests for one in of) for server in servers
            },
            "generator_cpu_microseconds": median(1e6 * one.outcome.cpu_seconds / one.outcome.requests for one in of),
        }
    return found
