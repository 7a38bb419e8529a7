"""A verdict as JSON for a pipeline and as Markdown for people."""

import json
import math
from dataclasses import asdict
from typing import Any

from newsrec.evaluation.intervals import Interval
from newsrec.evaluation.shipping.bounds import Bound
from newsrec.evaluation.shipping.verdict import Verdict


def to_mapping(verdict: Verdict) -> dict[str, Any]:
    """Plain values, None for what is not a number; ``share`` is what a pipeline may serve of the candidate."""
    return _plain({"decision": verdict.decision, "share": verdict.share, **asdict(verdict)})


def to_json(verdict: Verdict) -> str:
    return json.dumps(to_mapping(verdict), indent=2, allow_nan=False) + "\n"


def to_markdown(verdict: Verdict) -> str:
    """The sentence, what is known of each metric, and the plan of a mixture."""
    decision = verdict.decision
    believed = decision != "not enough evidence"
    lines = [f"**{decision.capitalize()}**{verdict.sentence.removeprefix(decision)}.", ""]
    if believed:
        lines += ["| metric | gain | at least | at most | needed | |", "| --- | ---: | ---: | ---: | ---: | --- |"]
        lines += [_row(bound) for bound in verdict.bounds]
        lines += [""]
    if verdict.plan is not None:
        plan = verdict.plan
        lines += [f"- share: {plan.share:.1%}, limited by {plan.limited_by}"]
        lines += [f"- decides the whole after {plan.days:,} days or {plan.readers:,} readers"]
        if plan.clicks_at_worst is not None:
            lines += [f"- clicks: {plan.clicks_expected:+,.0f} expected, {0.0 - plan.clicks_at_worst:+,.0f} at worst"]
        lines += [""]
    lines += [
        f"{verdict.readers:,} readers, {verdict.effective_readers:,.0f} effective ones. A gain is a difference from "
        f"{verdict.incumbent} that is better above 0; each end may be wrong with {verdict.risk:.1%} at most."
    ]
    return "\n".join(lines) + "\n"


def _row(bound: Bound) -> str:
    state = "shown" if bound.shown else "**broken**" if bound.broken else "open"
    cells = [f"{value:+.4g}" for value in (bound.gain, bound.low, bound.high)]
    return f"| {bound.metric} | {' | '.join(cells)} | more than {bound.needed:+.4g} | {state} |"


def _plain(value: Any) -> Any:
    if isinstance(value, Interval):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
