"""One arm against the control: the figure that decides, and all that explains it."""

from math import ceil
from typing import NamedTuple

import numpy as np

from newsrec.evaluation.abtest.config import ExperimentConfig
from newsrec.evaluation.abtest.cuped import adjust
from newsrec.evaluation.abtest.delta import difference_of_ratios
from newsrec.evaluation.abtest.effects import Effect, difference_of_means, mean_of
from newsrec.evaluation.abtest.novelty import WEEK, Novelty, novelty
from newsrec.evaluation.abtest.outcomes import Outcomes
from newsrec.evaluation.abtest.return_time import ReturnTime, return_time
from newsrec.evaluation.abtest.sample_ratio import SampleRatio
from newsrec.evaluation.abtest.sequential import LEAST_READERS, Looks, look_daily, one_look
from newsrec.evaluation.abtest.surrogate import SurrogateIndex, effect_on
from newsrec.evaluation.abtest.traffic import surrogates

BETTER, WORSE, ALIKE = "better", "worse", "no difference that matters"
UNSURE, BROKEN = "not enough evidence", "broken"
SUMMED = ("sessions", "dwell_minutes", "clicks", "hides")

Index = tuple[SurrogateIndex, bool] | str
"""With whether it knows the past; or why there is none."""


class Metric(NamedTuple):
    """One of the metrics that explain."""

    name: str
    effect: Effect
    q_value: float


class Early(NamedTuple):
    """The effect on active days that the first days foretell."""

    effect: Effect | None
    readers: int
    """Of both arms, whose first days are seen."""
    old_readers: int
    explained: float
    why_not: str
    """Where there is none."""


class Comparison(NamedTuple):
    """What may be said of an arm."""

    arm: str
    verdict: str
    reason: str
    readers: tuple[int, int]
    """With whole windows, in the arm and the control."""
    means: tuple[float, float]
    """Active days."""
    plain: Effect
    cuped: Effect
    variance_left: float
    looks: Looks
    metrics: tuple[Metric, ...]
    return_time: ReturnTime
    novelty: Novelty | None
    """None for windows of two weeks or less."""
    early: Early


def compare(
    found: Outcomes, arm: int, control: int, config: ExperimentConfig, index: Index, split: SampleRatio
) -> Comparison:
    """The arm number ``arm`` against ``control``; q-values, which are of all arms, are not there yet."""
    of, confidence = found.assigned.arm, config.confidence
    here = found.complete & ((of == arm) | (of == control))
    treated = of[here] == arm
    days, before = found.active[here].sum(1).astype(float), found.before[here]

    def means(values: np.ndarray) -> Effect:
        return difference_of_means(values[treated], values[~treated], confidence)

    cut = adjust(days, before, treated.astype(np.int64))
    cuped, readers = means(cut.values), (int(treated.sum()), int((~treated).sum()))
    if found.at_once:
        looks = one_look(config.days, sum(readers), cuped)
    else:
        looks = look_daily(days, treated, found.closed_day[here], config.readers, 1.0 - confidence, before)
    back = return_time(found.gaps(of == arm), found.gaps(of == control), config.return_days, confidence)
    clicks, shown = (table[here].sum(1) for table in (found.clicks, found.impressions))
    sides = [(clicks[side], shown[side]) for side in (treated, ~treated)]
    metrics = {name: means(getattr(found, name)[here].sum(1)) for name in SUMMED}
    metrics["clicks an impression"] = difference_of_ratios(sides[0], sides[1], confidence)
    metrics[f"back within {back.days} days"] = back.within
    average = mean_of(days[treated]).value, mean_of(days[~treated]).value
    verdict, reason = judge(looks, average[1], readers, config, split)
    return Comparison(
        found.assigned.arms[arm],
        verdict,
        reason,
        readers,
        average,
        means(days),
        cuped,
        cut.variance_left,
        looks,
        tuple(Metric(name, effect, np.nan) for name, effect in metrics.items()),
        back,
        novelty(found.active[here], treated, confidence) if config.days > 2 * WEEK and min(readers) else None,
        _early(found, arm, control, config, index),
    )


def judge(
    looks: Looks, control_mean: float, readers: tuple[int, int], config: ExperimentConfig, split: SampleRatio
) -> tuple[str, str]:
    """The verdict on an arm, and the reason."""
    if split.mismatch:
        counts = ", ".join(f"{arm} {n:,} of {split.expected.get(arm, 0):,.0f}" for arm, n in split.readers.items())
        return BROKEN, f"the readers were not split as planned (p = {split.p_value:.1g}): {counts} expected"
    if min(readers) < LEAST_READERS or np.isnan(looks.low[-1]):
        found = f"{readers[0]:,} and {readers[1]:,} readers have a whole window of {config.days} days"
        return UNSURE, f"{found}, expected {LEAST_READERS} or more in each arm"
    told = np.flatnonzero((looks.low > 0.0) | (looks.high < 0.0))
    if len(told):
        low, high = looks.low[told[0]], looks.high[told[0]]
        return (
            BETTER if low > 0.0 else WORSE,
            f"told on day {looks.day[told[0]]}: {low:+.3g} to {high:+.3g} active days",
        )
    low, high, least = looks.low[-1], looks.high[-1], config.mde * control_mean
    seen = f"{low:+.3g} to {high:+.3g} active days"
    if -least < low and high < least:
        return ALIKE, f"{seen}, within {config.mde:.2%} of the control's mean"
    if not least > 0.0:
        return UNSURE, f"{seen}; the control has no active days"
    more = ceil(int(looks.readers[-1]) * ((0.5 * (high - low) / least) ** 2 - 1.0))
    needed = f"about {more:,} more readers make it as narrow" if more > 0 else "it lies at the edge of what matters"
    return UNSURE, f"{seen}, expected within or beyond {config.mde:.2%} of {control_mean:.3g}; {needed}"


def _early(found: Outcomes, arm: int, control: int, config: ExperimentConfig, index: Index) -> Early:
    of, seen = found.assigned.arm, found.seen_days >= config.early_days
    sides = seen & (of == arm), seen & (of == control)
    readers = [int(side.sum()) for side in sides]
    if isinstance(index, str):
        return Early(None, sum(readers), 0, np.nan, index)
    model, with_past = index
    if min(readers) < LEAST_READERS:
        why = f"{min(readers)} readers of an arm were seen for {config.early_days} days, expected {LEAST_READERS}"
        return Early(None, sum(readers), model.readers, model.explained, why)
    told = surrogates(found, config.early_days, with_past)
    effect = effect_on(model, told[sides[0]], told[sides[1]], config.confidence)
    return Early(effect, sum(readers), model.readers, model.explained, "")
