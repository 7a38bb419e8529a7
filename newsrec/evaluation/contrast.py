"""The figure that policies are for: active days in the 28 days from assignment, per reader, as a contrast of two arms.

Every reader who was assigned counts, those who never came with zero. A policy is trained with S seeds, each of which is
tried on readers of its own; both arms of a seed have the same readers with the same luck, so readers are paired. With
``d_s`` the mean difference between the readers of seed s and ``c_s`` their mean under the control,

    difference = mean_s d_s,      lift = mean_s d_s / mean_s c_s

The means of S seeds are independent, and their spread holds both what training does and who was drawn. So the interval
is Student's over the seeds, with S - 1 degrees of freedom. It covers what it says whatever share of the spread comes
from training, at any S; at three seeds it is wide (4.3 standard errors), and nothing narrower covers as often: a normal
interval from the spread of readers alone fails as soon as training has a spread, and one that takes the larger of the
two spreads covers 99 % of three seeds instead of 95 % where training has none. With one seed the readers are the units,
the interval says nothing about another training, and the result carries ``seeds=1``.

Intervals of ratios are Fieller's (1954): all r for which Student's test does not reject ``mean_s (n_s - r m_s) = 0``.
They cover exactly as the differences do, also where the denominator is uncertain, which a linearised interval does not;
a lift with ends excludes 0 exactly when its difference does.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

Arm = dict[int, np.ndarray]
"""Training seed -> what each of its readers did, [N_s] float, such as active days. Readers stand in the same order in
every arm; each seed has readers of its own."""


class Contrast(NamedTuple):
    """What ``treated`` has over ``control``."""

    difference: float
    """In the unit of the values, a reader."""
    low: float
    high: float
    lift: float
    """The difference over the control's mean; NaN, as its ends, where that is 0. The ends are those of a ``Share``."""
    lift_low: float
    lift_high: float
    seeds: int
    """1: the interval is about these readers under this one training alone."""
    readers: int
    """Of all seeds."""


class Share(NamedTuple):
    """A ratio with Fieller's interval."""

    value: float
    low: float
    """Minus infinity, and ``high`` infinity, where the denominator itself is not told from 0."""
    high: float


class Point(NamedTuple):
    """A contrast in one world of a family."""

    elasticity: float
    contrast: Contrast


def contrast(treated: Arm, control: Arm, confidence: float = 0.95) -> Contrast:
    """The means of ``treated - control`` with their intervals; seeds weigh alike, and so do the readers of a seed.

    Raises ValueError where the arms are not paired or a seed has fewer than two readers.
    """
    _check({"treated": treated, "control": control}, confidence)
    difference, base = _units(_less(treated, control)), _units(control)
    low, high = _interval(difference, confidence)
    lift = _ratio(difference, base, confidence)
    readers = sum(len(values) for values in control.values())
    return Contrast(float(difference.mean()), low, high, *lift, seeds=len(control), readers=readers)


def share_of_headroom(treated: Arm, control: Arm, planner: Arm, greedy: Arm, confidence: float = 0.95) -> Share:
    """How much of what ``planner``, who knows the world, wins over ``greedy`` is won by ``treated`` over ``control``.

    All four have the same seeds and readers, so what these share cancels out. Raises ValueError as ``contrast`` does.
    """
    _check({"treated": treated, "control": control, "planner": planner, "greedy": greedy}, confidence)
    return _ratio(_units(_less(treated, control)), _units(_less(planner, greedy)), confidence)


def curve(points: Mapping[float, tuple[Arm, Arm]], confidence: float = 0.95) -> list[Point]:
    """The contrast of (treated, control) at each elasticity, in rising order of elasticity."""
    return [Point(elasticity, contrast(*points[elasticity], confidence)) for elasticity in sorted(points)]


def monotone_within_intervals(points: Sequence[Point]) -> bool:
    """Whether some curve of lifts that never falls passes through the intervals of all ``points`` (in their order).

    That is so exactly if no interval lies wholly below an earlier one. With 95 % intervals, of curves that are truly
    flat 1 % of those with three points are taken for falling, 2 % with five, 5 % with seven and 9 % with ten. "Yes" is
    no proof that anything rises: wide intervals let every curve pass; see ``rises``.
    """
    highest_low = accumulate((point.contrast.lift_low for point in points), max)
    return all(point.contrast.lift_high >= low for point, low in zip(points, highest_low, strict=True))


def rises(points: Sequence[Point]) -> bool:
    """Whether the last lift is above the first one beyond both of their intervals."""
    return points[-1].contrast.lift_low > points[0].contrast.lift_high


def _units(arm: Arm) -> np.ndarray:
    """What is independent: the mean of each seed [S], or of a single seed its readers [N]."""
    values = [np.asarray(arm[seed], float) for seed in sorted(arm)]
    return values[0] if len(values) == 1 else np.array([of_seed.mean() for of_seed in values])


def _less(arm: Arm, other: Arm) -> Arm:
    return {seed: np.asarray(values, float) - other[seed] for seed, values in arm.items()}


def _interval(units: np.ndarray, confidence: float) -> tuple[float, float]:
    """Student's interval of the mean of ``units`` [n]."""
    away = _quantile(len(units), confidence) * units.std(ddof=1) / len(units) ** 0.5
    return float(units.mean() - away), float(units.mean() + away)


def _ratio(above: np.ndarray, below: np.ndarray, confidence: float) -> Share:
    """``mean(above) / mean(below)`` of paired units, both [n], with Fieller's interval.

    Its ends are the roots in r of ``mean(above - r below)^2 = t^2 var(above - r below) / n``.
    """
    a, b = float(above.mean()), float(below.mean())
    if b == 0.0:
        return Share(float("nan"), float("nan"), float("nan"))
    wide = _quantile(len(above), confidence) ** 2 / len(above)
    (aa, ab), (_, bb) = (wide * np.cov(above, below, ddof=1)).tolist()
    square, half, rest = b * b - bb, a * b - ab, a * a - aa
    if square <= 0.0:
        return Share(a / b, -np.inf, np.inf)
    root = max(half * half - square * rest, 0.0) ** 0.5
    return Share(a / b, (half - root) / square, (half + root) / square)


def _quantile(n: int, confidence: float) -> float:
    return float(stdtrit(n - 1, (1.0 + confidence) / 2.0))


def _check(arms: Mapping[str, Arm], confidence: float) -> None:
    """Raises ValueError where the arms cannot be compared reader by reader."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}, expected a share between 0 and 1, such as 0.95")
    (name, first), *others = arms.items()
    if not first:
        raise ValueError(f"{name} has no training seed, expected at least one")
    for seed, values in first.items():
        if len(values) < 2:
            raise ValueError(f"{name} has {_counted(len(values))} with training seed {seed}, expected 2 or more")
    for other_name, other in others:
        if other.keys() != first.keys():
            found = f"{name} has the training seeds {_listed(first)}, {other_name} {_listed(other)}"
            raise ValueError(f"{found}; expected the same ones in both, since readers are paired")
        for seed, values in first.items():
            if len(other[seed]) != len(values):
                found = f"with training seed {seed}, {name} has {_counted(len(values))} and {other_name}"
                raise ValueError(f"{found} {len(other[seed])}; expected the same readers in both")
    for arm_name, arm in arms.items():
        for seed, values in arm.items():
            if not np.isfinite(values).all():
                raise ValueError(
                    f"{arm_name} with training seed {seed} has values that are no number, expected zeros for readers "
                    "who never came"
                )


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(seeds))) or "none"


def _counted(readers: int) -> str:
    return f"{readers} reader" + "s" * (readers != 1)
