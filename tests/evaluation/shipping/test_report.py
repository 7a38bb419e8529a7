"""A verdict as JSON and as Markdown."""

import json
from dataclasses import replace

import numpy as np
import pytest

from newsrec.evaluation.shipping.report import to_json, to_mapping, to_markdown
from newsrec.evaluation.shipping.verdict import Verdict, decide
from tests.evaluation.shipping.worlds import asked, findings


def verdict(readers: int, lift: float, **other: object) -> Verdict:
    found = findings(readers, lift, np.random.default_rng(3))
    return decide("new", found, asked(**other), np.random.default_rng(0))


def test_json_holds_what_a_pipeline_asks() -> None:
    told = verdict(200, 0.0)
    found = json.loads(to_json(told))
    assert (found["decision"], found["share"], found["candidate"]) == ("mix", told.share, "new")
    assert found["plan"]["days"] == told.plan.days
    assert found["bounds"][0]["low"] == told.bounds[0].low
    assert found["asked"] == told.asked != verdict(200, 0.0, effect=0.03).asked


def test_what_is_not_a_number_is_null() -> None:
    told = verdict(200, 0.0)
    broken = replace(told, bounds=(replace(told.bounds[0], error=float("nan"), high=float("inf")),))
    found = to_mapping(broken)["bounds"][0]
    assert (found["error"], found["high"], found["low"]) == (None, None, told.bounds[0].low)
    json.loads(to_json(broken))


@pytest.mark.parametrize(("readers", "lift", "state"), [(5_000, -0.2, "**broken**"), (20_000, 0.1, "shown")])
def test_markdown_shows_each_metric(readers: int, lift: float, state: str) -> None:
    told = verdict(readers, lift)
    text = to_markdown(told)
    assert text.startswith(
        f"**{told.decision.capitalize()}**{told.sentence.removeprefix(told.decision)}.\n\n| metric |"
    )
    b = told.bounds[0]
    assert f"| click_rate | {b.gain:+.4g} | {b.low:+.4g} | {b.high:+.4g} | more than +0 | {state} |" in text


def test_markdown_of_a_mixture_has_its_plan() -> None:
    told = verdict(200, 0.0)
    text = to_markdown(told)
    assert "| open |" in text
    assert f"- share: {told.share:.1%}, limited by " in text
    assert f"- decides the whole after {told.plan.days:,} days or {told.plan.readers:,} readers" in text
    assert f"{told.plan.clicks_expected:+,.0f} expected, -{told.plan.clicks_at_worst:,.0f} at worst" in text


def test_a_mixture_that_cannot_lose_clicks_costs_none() -> None:
    told = verdict(200, 0.0)
    text = to_markdown(replace(told, plan=replace(told.plan, clicks_at_worst=0.0)))
    assert " expected, +0 at worst" in text


def test_markdown_without_enough_evidence_shows_no_figure_to_believe() -> None:
    text = to_markdown(verdict(50, 0.1))
    assert text.startswith("**Not enough evidence** on new, about ")
    assert "| metric |" not in text
    assert "50 readers, " in text
