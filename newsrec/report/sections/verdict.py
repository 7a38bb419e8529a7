"""The gate's verdict, what it rests on, and all verdicts before it.

Two kinds of verdict are known by what they hold: ``checks`` of rankings against thresholds, and ``bounds`` of gains
with a plan, beside which ``ranking`` is what rankings would have said.
"""

from collections.abc import Mapping
from typing import Any

from newsrec.evaluation.shipping.ledger import Ledger
from newsrec.report.blocks import Banner, Block, Cell, Facts, Folded, Points, Row, Section, Table, Text, missing
from newsrec.report.numbers import clock, counted, finite, interval

TONES = {"ship": "good", "mix": "open", "refuse": "bad", "not enough evidence": "open"}
NEWEST = 5
"""Verdicts that are told without asking."""


def verdict(found: dict[str, Any] | None) -> Section:
    if found is None:
        return missing("verdict", "Verdict", "There is no verdict: this is no run of the pipeline with a gate.")
    decision = str(found["decision"])
    sentence = str(found.get("sentence") or _sentence(found))
    rest = sentence.removeprefix(decision).strip().removesuffix(".") + "."
    blocks: list[Block] = [Banner(decision.capitalize(), rest, TONES.get(decision, "open"))]
    if found.get("note"):
        blocks.append(Text(str(found["note"])))
    if found.get("plan"):
        blocks.append(_plan(found["plan"], str(found["incumbent"])))
    reasons = [str(reason) for reason in found.get("reasons", ()) if str(reason) not in sentence]
    if reasons and "checks" not in found:
        blocks.append(Points([Cell(reason) for reason in reasons]))
    if found.get("checks"):
        blocks.append(Points([_check(check) for check in found["checks"]]))
    if found.get("bounds"):
        blocks += _bounds(found)
    if ranking := found.get("ranking"):
        said = Points([_check(check) for check in ranking["checks"]])
        blocks.append(Folded(f"Rankings would have said {ranking['decision']}, and decide nothing here", [said]))
    return Section("verdict", "Verdict", blocks)


def weights(found: dict[str, Any] | None) -> Section:
    """What the importance weights of the log could carry."""
    title = "What the log's weights can carry"
    facts = _weights(found or {})
    if not facts:
        why = "This verdict rests on rankings alone: no importance weights were used."
        return missing("weights", title, why if found else "There is no verdict, so there are no weights either.")
    text = (
        "Off-policy estimates weigh logged decisions by how much likelier the candidate is to make them. Effective "
        "readers are as many equal ones as would tell as much; the mean weight is 1 where propensities are true."
    )
    return Section("weights", title, [Facts(facts), Text(text, "quiet")])


def history(ledger: Ledger) -> Section:
    """The ledger, the newest first."""
    if not ledger.entries and not ledger.skipped:
        why = "There is no ledger of verdicts (verdicts.jsonl) beside the releases of this run, or none was named."
        return missing("ledger", "All verdicts so far", why)
    rows = [_entry(entry) for entry in reversed(ledger.entries)]
    head = ("time (UTC)", "decision", "share", "run", "why")
    blocks: list[Block] = [Table("The newest verdicts", head, rows[:NEWEST])]
    if len(rows) > NEWEST:
        older = Table("Older verdicts", head, rows[NEWEST:])
        blocks.append(Folded(counted(len(rows) - NEWEST, "older verdict"), [older]))
    chance = sum(entry.get("risk") or 0.0 for entry in ledger.entries)
    if chance:
        told = f"{counted(len(rows), 'verdict')}: if no candidate had been any good, up to {chance:.2g} of them"
        blocks.append(Text(f"{told} would be shipped by chance in the mean.", "quiet"))
    if ledger.skipped:
        blocks.append(Points([Cell(sentence) for sentence in ledger.skipped]))
    return Section("ledger", "All verdicts so far", blocks)


def _sentence(found: dict[str, Any]) -> str:
    instead = f"instead of {found['incumbent']}" if found.get("incumbent") else "as the first release"
    return f"{found['candidate']} {instead}"


def _check(check: Mapping[str, Any]) -> Cell:
    passed = bool(check["passed"])
    return Cell(f"{'Passed' if passed else 'Failed'}: {check['message']}", "good" if passed else "bad")


def _plan(plan: Mapping[str, Any], incumbent: str) -> Facts:
    facts = [
        ("share of readers who get the candidate", f"{plan['share']:.1%}, the rest {incumbent}"),
        ("limited by", str(plan["limited_by"])),
        ("decides the whole after", f"{counted(plan['days'], 'day')} or {counted(plan['readers'], 'reader')}"),
    ]
    if finite(plan.get("clicks_expected")) and finite(plan.get("clicks_at_worst")):
        worst = 0.0 - plan["clicks_at_worst"]
        facts.append(("clicks until then", f"{plan['clicks_expected']:+,.0f} expected, {worst:+,.0f} at worst"))
    return Facts(facts)


def _bounds(found: dict[str, Any]) -> list[Block]:
    rows: list[Row] = []
    for bound in found["bounds"]:
        cells = ["unknown" if bound[end] is None else f"{bound[end]:+.4g}" for end in ("gain", "low", "high")]
        rows.append([str(bound["metric"]), _state(bound), *cells, f"more than {bound['needed']:+.4g}"])
    about = f"A gain is a difference from {found['incumbent']} that is better above 0."
    if finite(found.get("risk")):
        about += f" Each end may be wrong with {found['risk']:.1%} at most."
    if found["decision"] == "not enough evidence":
        about += " The log cannot carry an answer, so these figures are for the record and not to be believed."
    head = ("metric", "state", "gain", "at least", "at most", "needed")
    return [Table("What is known of each metric", head, rows), Text(about, "quiet")]


def _state(bound: Mapping[str, Any]) -> Cell:
    if bound["low"] is not None and bound["low"] > bound["needed"]:
        return Cell("shown", "good")
    if bound["high"] is not None and bound["high"] <= bound["needed"]:
        return Cell("broken", "bad")
    return Cell("open", "open")


def _weights(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values of what is there."""
    facts = []
    if finite(found.get("effective_readers")):
        of = f" of {counted(found['readers'], 'reader')}" if found.get("readers") is not None else ""
        facts.append(("effective readers", f"{found['effective_readers']:,.0f}{of}"))
    if finite(found.get("largest_weight")):
        facts.append(("largest weight of a decision", f"{found['largest_weight']:,.4g}"))
    if found.get("mean_weight"):
        facts.append(("mean weight", interval(found["mean_weight"])))
    if found.get("more_readers"):
        facts.append(("missing for an answer", f"about {counted(found['more_readers'], 'more reader')}"))
    return facts


def _entry(entry: Mapping[str, Any]) -> list[str | Cell]:
    decision = str(entry.get("decision", "unknown"))
    share = f"{entry['share']:.1%}" if finite(entry.get("share")) else ""
    tone = TONES.get(decision, "")
    sentence = str(entry.get("sentence", ""))
    return [clock(str(entry.get("time", ""))), Cell(decision, tone), share, str(entry.get("run", "")), sentence]
