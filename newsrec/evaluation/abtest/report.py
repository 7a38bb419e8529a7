"""An analysis and a plan as tables for people and as JSON for pipelines."""

import math
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from newsrec.evaluation.abtest.analysis import Analysis
from newsrec.evaluation.abtest.comparison import BETTER, BROKEN, WORSE, Comparison
from newsrec.evaluation.abtest.effects import Effect
from newsrec.evaluation.abtest.plan import Plan, PlanConfig, Traffic

COLOURS = {BETTER: "green", WORSE: "red", BROKEN: "red"}


def to_mapping(value: Any) -> Any:
    """What JSON knows: tuples with names become objects, arrays lists, and what is no number null."""
    if is_dataclass(value) and not isinstance(value, type):
        return to_mapping(asdict(value))
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return to_mapping(value._asdict())
    if isinstance(value, dict):
        return {str(name): to_mapping(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_mapping(inner) for inner in value]
    if isinstance(value, np.ndarray | np.generic):
        return to_mapping(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def tables(analysis: Analysis) -> Group:
    """The split, and for each arm the verdict, the figures behind it and what explains them."""
    parts: list[RenderableType] = [_split(analysis)]
    for compared in analysis.comparisons:
        colour = COLOURS.get(compared.verdict, "yellow")
        parts.append(Text(f"\n{compared.arm}: {compared.verdict}", f"bold {colour}"))
        parts.append(Text(compared.reason))
        parts.append(_effects(compared, analysis))
        parts += [Text(line, "dim") for line in remarks(compared, analysis)]
    return Group(*parts)


def plan_table(plan: Plan, config: PlanConfig, traffic: Traffic) -> Table:
    """The plan, and what it stands on."""
    table = Table(show_header=False, box=None)
    week = traffic.arrivals[-7:]
    looks = "every day" if config.daily else "once, at the end"
    rows = {
        "effect": f"{plan.effect:.4g} active days, {config.mde:.3%} of {traffic.mean:.4g}",
        "readers differ": f"by a standard deviation of {traffic.deviation:.4g} active days",
        "told with": f"power {config.power:.0%}, confidence {config.confidence:.1%}, looking {looks}",
        "CUPED": f"correlation with the past {traffic.correlation:.2f} leaves {plan.variance_left:.0%} of the variance",
        "traffic": f"{np.mean(week):,.0f} newly assigned readers a day in the last week known",
        "readers": f"{plan.readers:,}, of these {plan.readers_treated:,} in the treated arm",
        "days": f"{plan.days:,}: {plan.assign_days:,} to assign them and {config.days} of the last one's window",
        "at stake": _stake(plan),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _stake(plan: Plan) -> str:
    clicks = "" if plan.clicks_at_stake is None else f" and {plan.clicks_at_stake:,.0f} clicks"
    return f"{plan.outcome_at_stake:,.0f} active days{clicks}, if the arm is as much worse"


def _split(analysis: Analysis) -> Table:
    begin, end = (datetime.fromtimestamp(moment / 1e6, UTC) for moment in (analysis.start, analysis.end))
    title = f"{analysis.experiment}, {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
    table = Table("arm", "readers", "expected", "window cut by the end", title=title, title_justify="left")
    for arm, readers in analysis.split.readers.items():
        expected = analysis.split.expected.get(arm, 0.0)
        table.add_row(arm, f"{readers:,}", f"{expected:,.1f}", f"{analysis.censored[arm]:,}")
    how = "exact" if analysis.split.exact else "chi-square"
    table.caption = f"split p = {analysis.split.p_value:.2g} ({how}); {analysis.crossed:,} readers in several arms"
    return table


def _effects(compared: Comparison, analysis: Analysis) -> Table:
    days, looks = analysis.config.days, compared.looks
    table = Table("metric", "difference", "lift", "p", "q")
    if len(looks.day):
        last = _figure(looks.difference[-1], looks.low[-1], looks.high[-1])
        table.add_row(f"active days in {days}, daily look", last, "", f"{looks.p_value[-1]:.2g}", "")
    table.add_row("  CUPED, read once", *_row(compared.cuped), "")
    table.add_row("  plain, read once", *_row(compared.plain), "")
    if compared.early.effect is not None:
        table.add_row(f"  foretold by {analysis.config.early_days} days", *_row(compared.early.effect), "")
    for metric in compared.metrics:
        table.add_row(metric.name.replace("_", " "), *_row(metric.effect), _number(metric.q_value))
    return table


def _row(effect: Effect) -> tuple[str, str, str]:
    lift = "" if math.isnan(effect.lift) else f"{effect.lift:+.1%} [{effect.lift_low:+.1%}, {effect.lift_high:+.1%}]"
    return _figure(effect.difference, effect.low, effect.high), lift, _number(effect.p_value)


def _figure(value: float, low: float, high: float) -> str:
    return "unknown" if math.isnan(low) else f"{value:+.3g} [{low:+.3g}, {high:+.3g}]"


def _number(p: float) -> str:
    return "" if math.isnan(p) else f"{p:.2g}"


def remarks(compared: Comparison, analysis: Analysis) -> list[str]:
    """Sentences beside the table."""
    (treated, control), (mean, base) = compared.readers, compared.means
    lines = [f"{treated:,} and {control:,} readers with whole windows, {mean:.3g} and {base:.3g} active days"]
    lines.append(f"CUPED leaves {compared.variance_left:.0%} of the variance")
    rank = compared.return_time.log_rank
    lines.append(f"return times, log-rank: p = {rank.p_value:.2g}, {rank.early:+,.1f} returns beyond those expected")
    if compared.novelty is not None:
        first, last, slope = compared.novelty.first_week, compared.novelty.last_week, compared.novelty.slope
        word = "the effect fades" if compared.novelty.fades else "it is not told that the effect fades"
        moved = f"{first.difference:+.3g} of days active in the first week, {last.difference:+.3g} in the last"
        lines.append(f"{word}: {moved}, slope {slope.difference:+.2g} [{slope.low:+.2g}, {slope.high:+.2g}] a week")
    if compared.early.effect is None:
        lines.append(f"no surrogate index: {compared.early.why_not}")
    else:
        early = compared.early
        lines.append(f"surrogate index: {early.explained:.0%} of {early.old_readers:,} old readers' variance explained")
    return lines
