"""What each part of the page says, as blocks."""

import json
from typing import Any

from newsrec.evaluation.shipping.report import to_mapping
from newsrec.report.blocks import Block, Cell, Section
from newsrec.report.sections import comparison, study
from newsrec.report.sections.examples import examples
from newsrec.report.sections.slices import slices
from newsrec.report.sections.verdict import history, verdict, weights
from newsrec.report.sources import gather
from tests.report import runs


def number() -> int:
    return 1


def of_kind(section: Section, kind: str) -> list[Any]:
    return [block for block in section.blocks if block.kind == kind]


def cells(table: Block) -> list[list[str]]:
    return [[cell.text if isinstance(cell, Cell) else cell for cell in row] for row in table.rows]  # type: ignore[union-attr]


def test_a_verdict_of_rankings_names_its_checks() -> None:
    check = {"name": "lift", "passed": False, "message": "lift is -1"}
    found = {
        "ship": False,
        "decision": "refuse",
        "reasons": ["lift is -1"],
        "candidate": "dqn",
        "incumbent": "incumbent",
    }
    section = verdict(found | {"checks": [check, check | {"passed": True}]})
    (banner,) = of_kind(section, "banner")
    assert (banner.word, banner.sentence, banner.tone) == ("Refuse", "dqn instead of incumbent.", "bad")
    (points,) = of_kind(section, "points")
    assert points.items == [Cell("Failed: lift is -1", "bad"), Cell("Passed: lift is -1", "good")]


def test_a_mixture_is_told_with_its_plan_and_bounds() -> None:
    section = verdict(json.loads(json.dumps(to_mapping(runs.shipping()))))
    (banner,) = of_kind(section, "banner")
    assert banner.word == "Mix"
    assert banner.sentence.startswith("12.5% of dqn into")
    (facts,) = of_kind(section, "facts")
    assert dict(facts.items)["share of readers who get the candidate"] == "12.5%, the rest incumbent"
    assert dict(facts.items)["decides the whole after"] == "17 days or 20,000 readers"
    assert dict(facts.items)["clicks until then"] == "+57 expected, -1,234 at worst"
    (table,) = of_kind(section, "table")
    assert [(row[0], row[1]) for row in cells(table)] == [
        ("active_days", "open"),
        ("click_rate", "shown"),
        ("hides", "broken"),
    ]
    assert of_kind(section, "points")[0].items == [Cell("a reason of its own")]


def test_what_cannot_be_done_and_what_rankings_would_have_said_stand_beside_it() -> None:
    check = {"name": "lift", "passed": False, "message": "lift is -1"}
    ranking = {"ship": False, "decision": "refuse", "candidate": "dqn", "incumbent": None, "checks": [check]}
    section = verdict(to_mapping(runs.shipping()) | {"note": "Nothing is served here.", "ranking": ranking})
    assert of_kind(section, "text")[0].text == "Nothing is served here."
    (folded,) = of_kind(section, "folded")
    assert folded.title == "Rankings would have said refuse, and decide nothing here"
    assert folded.blocks[0].items == [Cell("Failed: lift is -1", "bad")]


def test_bounds_without_evidence_are_not_to_be_believed() -> None:
    section = verdict(to_mapping(runs.shipping("not enough evidence")))
    assert "not to be believed" in of_kind(section, "text")[-1].text
    assert "not to be believed" not in of_kind(verdict(to_mapping(runs.shipping())), "text")[-1].text


def test_weights_are_told_where_the_verdict_has_them() -> None:
    found = to_mapping(runs.shipping("not enough evidence"))
    assert dict(of_kind(weights(found), "facts")[0].items) == {
        "effective readers": "321 of 900 readers",
        "largest weight of a decision": "12",
        "mean weight": "1.020 [0.900, 1.200]",
        "missing for an answer": "about 400 more readers",
    }
    assert "rankings alone" in weights({"decision": "ship", "candidate": "a", "checks": []}).blocks[0].text


def test_the_ledger_is_told_newest_first_and_folds_what_is_old(tmp_path) -> None:
    runs.run(tmp_path)
    path = runs.write_ledger(tmp_path, verdicts=7)
    path.write_text(path.read_text() + "torn")
    section = history(gather(tmp_path).ledger)
    (table,) = of_kind(section, "table")
    assert [row[3] for row in cells(table)] == ["run 6", "run 5", "run 4", "run 3", "run 2"]
    assert cells(table)[0][:3] == ["2026-01-07 00:00:00", "mix", "12.5%"]
    (folded,) = of_kind(section, "folded")
    assert folded.title == "2 older verdicts"
    assert "up to 0.35 of them" in of_kind(section, "text")[0].text
    assert "line 8 is torn" in of_kind(section, "points")[0].items[0].text


def test_policies_keep_their_figures_and_a_lift_its_sign() -> None:
    found = runs.comparison()
    section = comparison.policies(found, number)
    (table,) = of_kind(section, "table")
    value = found["policies"]["transformer"]["ndcg_at_10"]
    assert cells(table)[1][:2] == ["transformer", f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"]
    lift = of_kind(section, "figures")[0].items[-1]
    assert lift.title == "nDCG@10, lift over popularity"
    assert (
        f"transformer {found['differences']['popularity']['transformer']['metrics']['ndcg_at_10']['mean']:+.3f}"
        in lift.alt
    )
    assert runs.SCRIPT in of_kind(section, "text")[0].text


def test_a_metric_that_is_not_defined_says_so() -> None:
    found = runs.comparison()
    for policy in found["policies"].values():
        policy["mrr"] = {"mean": None, "low": None, "high": None, "decisions": 0}
    table = of_kind(comparison.policies(found, number), "table")[0]
    assert cells(table)[0][table.head.index("MRR")] == "not defined"


def test_the_winner_is_named_with_what_chose_it() -> None:
    found = runs.comparison()
    text, table = comparison.choice(found).blocks[:2]
    assert "transformer has the highest nDCG@10" in text.text
    assert [row[0].text for row in table.rows] == ["popularity", "transformer (winner)", runs.POLICIES[2]]
    value = {"mean": 0.75, "low": 0.5, "high": 1.0}
    found["selection"] |= {"objective": {"metric": "return_rate", "policies": {"transformer": value}}}
    text, table = comparison.choice(found).blocks[:2]
    assert "transformer has the best return_rate, as the log tells it" in text.text
    assert [row[-1] for row in table.rows] == ["not defined", "0.750 [0.500, 1.000]", "not defined"]


def test_coverage_has_no_interval() -> None:
    (table,) = of_kind(comparison.variety(runs.comparison(), number), "table")
    assert cells(table)[0][1] == "0.500"


def test_slices_colour_only_what_is_told_apart() -> None:
    found = runs.slices(runs.comparison())
    table = of_kind(slices(found, "readers", number), "table")[0]
    assert [cell.tone for cell in table.rows[0][3:]] == ["good", "good"]
    assert [cell.tone for cell in table.rows[1][3:]] == ["", ""]
    assert cells(table)[1][3] == "+0.500"


def test_slates_name_what_only_one_of_them_shows() -> None:
    (block,) = of_kind(examples(runs.examples()), "slates")
    assert block.title == "A new reader"
    first, second = block.items
    assert [article.only_here for article in first.articles] == [True, False]
    assert [article.only_here for article in second.articles] == [False]
    assert first.articles[0].about == "3 h old · shown at 2, clicked"
    assert first.articles[0].reads == [("25%", f"read {runs.SCRIPT}")]
    assert first.articles[0].move == "Moved up from number 22 by clicks alone: click value 0.100, long-term value 0.200"
    assert second.note == "This policy does not look at what a reader has read."


def test_active_days_and_lifts_of_a_study() -> None:
    section = study.active_days(runs.results(), number)
    assert section.title == "Active days in 28 days, simulated"
    (table,) = of_kind(section, "table")
    assert cells(table) == [
        ["base (baseline)", "8.00 [7.50, 8.50]", "", ""],
        ["better", "8.00 [7.50, 8.50]", "+10.0% [+5.0%, +15.0%]", "unknown"],
    ]
    assert "Student's over the training seeds" in section.blocks[0].text
    assert "One training seed" in study.active_days(runs.results(seeds=1), number).blocks[0].text


def test_the_curve_over_elasticity_and_a_study_without_one() -> None:
    (table,) = of_kind(study.elasticity(runs.results(), number), "table")
    assert table.head == ("policy", "0", "1.5", "may never fall", "rises")
    assert cells(table)[0][1:] == ["-1.0% [-6.0%, +4.0%]", "+10.0% [+5.0%, +15.0%]", "yes", "yes"]
    assert table.rows[0][2].tone == "good"
    flat = runs.results() | {"curves": {}}
    assert "no two worlds" in study.elasticity(flat, number).blocks[0].text


def test_a_lift_that_is_not_known_is_not_drawn_as_a_number() -> None:
    found = runs.slices(runs.comparison())
    for part in found["groups"]["readers"]:
        part["lifts"] = {name: {"mean": None, "low": None, "high": None} for name in part["lifts"]}
    section = slices(found, "readers", number)
    assert "not defined" in str(of_kind(section, "figures")[0].items[0].svg)
