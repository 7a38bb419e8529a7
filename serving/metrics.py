"""What is measured of slates, cheap enough to be measured of every one.

A counter of prometheus_client that is found by its labels takes a few microseconds, and an answer would need a dozen.
So the numbers of a slate are added up here under one lock, and turned into Prometheus' form when they are scraped.

- *Stages* (``parse``, ``store``, ``score``, ``draw``, ``log``): each ends where the next begins, by ``Stage.since``.
- *Feature age*: from the reader's last known event to the request. It grows with silence, too; what the online store
  lags behind the event log is ``newsrec_readers_pending``.
- *Entropy*: minus the logarithm of a slate's probability. Its mean over slates is the entropy of how they are drawn, in
  nats: 0 where nothing is explored.
- *Overlap*: the share of a slate that stood in the same reader's previous slate. Remembered are the latest slates of
  READERS readers, under a hash that changes at every start and names nobody, so it tells of readers who come back
  before so many others have come.
"""

import math
import threading
import time
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from serving.recommend import Decision

READERS = 2_000
"""Whose previous slate is remembered: about 3 MB."""
SECOND = 1_000_000_000
"""In nanoseconds."""
STAGES = ("parse", "store", "score", "draw", "log")
STAGE_SECONDS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
AGE_SECONDS = (1.0, 10.0, 60.0, 600.0, 3_600.0, 21_600.0, 86_400.0, 259_200.0, 604_800.0, 2_592_000.0)
ENTROPY_NATS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
OVERLAP_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Distribution:
    """How often a value fell up to each of ``bounds``, which are ``scale`` times those that are exported."""

    def __init__(self, bounds: Sequence[float], scale: float = 1.0) -> None:
        self._names = [*(floatToGoString(bound) for bound in bounds), "+Inf"]
        self._bounds, self._scale = [bound * scale for bound in bounds], scale
        self._counts, self._sum = [0] * (len(bounds) + 1), 0.0

    def add(self, value: float) -> None:
        """Not for several threads at once."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def export(self, family: HistogramMetricFamily, *labels: str) -> None:
        buckets, below = [], 0
        for name, count in zip(self._names, self._counts, strict=True):
            below += count
            buckets.append((name, float(below)))
        family.add_metric(labels, buckets, self._sum / self._scale)


class Stage(Distribution):
    """Seconds of one stage of a request."""

    def __init__(self) -> None:
        super().__init__(STAGE_SECONDS, SECOND)
        self._lock = threading.Lock()

    def since(self, began: int) -> int:
        """Count the time from ``began``, by ``time.perf_counter_ns``, to now, and return now."""
        now = time.perf_counter_ns()
        with self._lock:
            self.add(now - began)
        return now


class Slates(Collector):
    """What became of all slates of this process."""

    def __init__(self) -> None:
        self.stages = {name: Stage() for name in STAGES}
        self._age, self._entropy = Distribution(AGE_SECONDS), Distribution(ENTROPY_NATS)
        self._overlap = Distribution(OVERLAP_SHARES)
        self._lock = threading.Lock()
        self._slates: dict[tuple[str, str], int] = {}
        self._cold = self._degraded = 0
        self._previous: OrderedDict[int, frozenset[str]] = OrderedDict()

    def answered(self, decisions: Iterable[Decision]) -> None:
        """Count slates that are about to be answered."""
        for decision in decisions:
            visit, cold = decision.visit, decision.cold
            key = decision.artifact.name, visit.arm or ""
            with self._lock:
                self._slates[key] = self._slates.get(key, 0) + 1
                self._cold += cold
                self._degraded += visit.degraded
                if not cold:
                    self._age.add(max(0.0, (visit.time - int(visit.features.last_seen[0])) / 1e6))
                if decision.slate:
                    self._entropy.add(_entropy(decision.propensities))
                    repeated = self._repeated(hash(visit.user_id), decision.slate)
                    if repeated is not None:
                        self._overlap.add(repeated)

    def _repeated(self, reader: int, slate: Collection[str]) -> float | None:
        """The share of ``slate`` that ``reader`` was shown last time; None where that is not remembered."""
        now, before = frozenset(slate), self._previous.pop(reader, None)
        self._previous[reader] = now
        if len(self._previous) > READERS:
            self._previous.popitem(last=False)
        return None if before is None else len(now & before) / len(now)

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            return iter(self._families())

    def _families(self) -> list[Metric]:
        answered = CounterMetricFamily(
            "newsrec_slates",
            "Slates answered; arm is empty where one policy serves everybody",
            labels=["policy", "arm"],
        )
        for labels, count in self._slates.items():
            answered.add_metric(labels, count)
        stages = HistogramMetricFamily("newsrec_stage_seconds", "Time of one stage of a request", labels=["stage"])
        for name, stage in self.stages.items():
            stage.export(stages, name)
        found = [
            answered,
            CounterMetricFamily("newsrec_cold_slates", "Slates for readers of whom nothing was known", self._cold),
            CounterMetricFamily(
                "newsrec_degraded_slates",
                "Slates made without the reader's features: the store gave none",
                self._degraded,
            ),
            stages,
        ]
        for name, told, distribution in (
            ("newsrec_feature_age_seconds", "From a known reader's last event to the request", self._age),
            ("newsrec_slate_entropy_nats", "Minus the logarithm of a slate's probability", self._entropy),
            ("newsrec_slate_overlap", "Share of a slate that its reader was shown last time", self._overlap),
        ):
            family = HistogramMetricFamily(name, told)
            distribution.export(family)
            found.append(family)
        return found


def _entropy(propensities: Sequence[float]) -> float:
    """Minus the logarithm of their product, by the sum of logarithms where that is too small for a float."""
    product = math.prod(propensities)
    return -math.log(product) if product > 1e-290 else -math.fsum(map(math.log, propensities))


SLATES = Slates()
REGISTRY.register(SLATES)
