"""What the daily checks found, for people: Markdown with the plots beside it."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from newsrec.evaluation.intervals import Interval
from newsrec.files import whole_directory
from newsrec.monitoring.contract import Check
from newsrec.monitoring.decision import Verdict
from newsrec.monitoring.drift import Drift
from newsrec.monitoring.live_value import METRICS, LiveValue
from newsrec.monitoring.plots import drift_plot, value_plot


def moment(microseconds: int) -> str:
    """``2026-01-31 04:00 UTC``"""
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds):%Y-%m-%d %H:%M} UTC"


def contract_report(checks: list[Check], until: int) -> str:
    """The broken clauses as sentences, and all of them as a table."""
    broken = [check for check in checks if not check.passed]
    verdict = f"{len(broken)} of {len(checks)} clauses are broken." if broken else "The day may be learned from."
    rows = [[check.name, check.found, check.what, check.expected, _state(check)] for check in checks]
    sections = [
        f"# Data contract, up to {moment(until)}",
        verdict,
        *(f"- {check.message}" for check in broken),
        _table(["clause", "found", "", "expected", ""], rows),
    ]
    return "\n\n".join(sections) + "\n"


def write_observation(
    directory: str | Path,
    until: int,
    verdict: Verdict,
    value: LiveValue | None,
    drifts: Mapping[str, Drift],
) -> None:
    """The verdict, every rule, and where a release is served its value and drift: report.md and plots, whole."""
    named = f" ({', '.join(verdict.reasons)})" if verdict.reasons else ""
    sections = [
        f"# The served release, {moment(until)}",
        f"**{verdict.action}**{named}",
        "\n".join(f"- {'**fired**' if rule.fired else 'quiet'} {rule.name}: {rule.message}" for rule in verdict.rules),
    ]
    with whole_directory(directory) as partial:
        if value is not None:
            value_plot(value).savefig(partial / "value.png", dpi=110)
            drift_plot(drifts).savefig(partial / "drift.png", dpi=110)
            sections += ["## Value", _value(value), "![Reward per decision of each day](value.png)"]
            sections += ["## Drift", _drift(drifts), "![Population stability index by feature](drift.png)"]
        (partial / "report.md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def _value(value: LiveValue) -> str:
    rows = [
        [
            name,
            _interval(value.live.value[name]),
            _interval(value.previous.value[name]),
            _interval(value.difference[name]),
        ]
        for name in METRICS
    ]
    for what in ("decisions", "readers"):
        rows.append([what, f"{getattr(value.live, what):,}", f"{getattr(value.previous, what):,}", ""])
    rows.append(["reward of a day", "", "", _interval(value.between_days)])
    return _table(["", "served", "before it", "difference"], rows)


def _drift(drifts: Mapping[str, Drift]) -> str:
    """The largest first; judged features before the others."""
    ordered = sorted(drifts.items(), key=lambda item: (not item[1].judged, -(item[1].psi or 0.0)))
    rows = [
        [
            name,
            _number(d.psi),
            _number(d.limit),
            "**drifted**" if d.drifted else "" if d.judged else "not judged",
            d.why,
        ]
        for name, d in ordered
    ]
    return _table(["feature", "PSI", "limit", "", "largest change, or why it is not judged"], rows)


def _state(check: Check) -> str:
    if not check.judged:
        return f"not judged: {check.rows:,} rows of {check.least:,}" if check.rows else "not judged: no rows"
    return "kept" if check.passed else "**broken**"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}"


def _interval(interval: Interval) -> str:
    if math.isnan(interval.mean):
        return "none"
    ends = "" if math.isnan(interval.low) else f" [{interval.low:.3f}, {interval.high:.3f}]"
    return f"{interval.mean:.3f}{ends}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, ["---"] * len(header), *rows])
