"""What people see: every clause with its state, every rule, and points where the numbers are."""

import numpy as np

from newsrec.evaluation.intervals import Interval
from newsrec.features import DAY
from newsrec.monitoring.contract import Check
from newsrec.monitoring.decision import nothing_served
from newsrec.monitoring.drift import Drift
from newsrec.monitoring.live_value import Day, LiveValue, Served
from newsrec.monitoring.plots import BEFORE, SERVED, drift_plot, value_plot
from newsrec.monitoring.report import contract_report, write_observation
from tests.logs import MONDAY

NONE = Interval(np.nan, np.nan, np.nan)
DRIFTS = {
    "age": Drift(0.05, 0.2, 500, 300, True, False, "a"),
    "device": Drift(0.4, 0.2, 500, 300, True, True, "b"),
    "reads": Drift(3.0, 0.3, 500, 300, False, False, "c"),
    "locale": Drift(None, 0.2, 500, 0, False, False, "found no rows today"),
}


def test_the_contract_shows_each_clause_as_kept_broken_or_not_judged():
    checks = [
        Check("click_rate", 0.5, 0.01, 0.4, "clicks for each of 900 impressions", 900, 100, "are clicks sent twice?"),
        Check("dwell_seconds", 30.0, 1.0, 60.0, "as the median of 7 dwells", 7, 100, "which unit is it?"),
        Check("decisions", 1234, 1, None, "decisions", 1234, 0, "is the collector up?"),
        Check("missing_propensities", None, None, 0.0, "of 0 decisions", 0, 0, "?"),
    ]
    lines = contract_report(checks, MONDAY).splitlines()
    assert lines[0] == "# Data contract, up to 2024-01-01 00:00 UTC"
    assert "1 of 4 clauses are broken." in lines
    sentence = "click_rate: found 0.5 clicks for each of 900 impressions, expected 0.01 to 0.4: are clicks sent twice?"
    assert f"- {sentence}" in lines
    assert [line.split(" | ")[-1] for line in lines[-4:]] == [
        "**broken** |",
        "not judged: 7 rows of 100 |",
        "kept |",
        "not judged: no rows |",
    ]
    assert "| decisions | 1,234 | decisions | at least 1 | kept |" in lines


def test_judged_features_stand_on_top_and_the_largest_first():
    axes = drift_plot(DRIFTS).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["device", "age", "reads"]
    points = [line for line in axes.get_lines() if line.get_marker() != "|"]
    drawn = [(line.get_xdata()[0], line.get_marker(), line.get_color(), line.get_fillstyle()) for line in points]
    assert drawn[:2] == [(0.4, "o", BEFORE, "full"), (0.05, "o", SERVED, "full")]
    assert drawn[2][:2] == (1.0, ">")
    assert drawn[2][3] == "none"
    limits = [line.get_xdata()[0] for line in axes.get_lines() if line.get_marker() == "|"]
    assert limits == [0.2, 0.2, 0.3]


def test_a_day_without_decisions_has_no_point():
    days = [
        Day(MONDAY, NONE, Interval(0.6, 0.5, 0.7)),
        Day(MONDAY + DAY, NONE, NONE),
        Day(MONDAY + 2 * DAY, Interval(0.4, np.nan, np.nan), Interval(0.5, 0.4, 0.6)),
    ]
    nobody = Served(0, 0, {"reward": NONE, "clicked": NONE})
    axes = value_plot(LiveValue(nobody, nobody, {"reward": NONE, "clicked": NONE}, NONE, days)).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1 Jan", "2 Jan", "3 Jan"]
    drawn = {
        bars.get_label(): ([round(x) for x in bars.lines[0].get_xdata()], list(bars.lines[0].get_ydata()))
        for bars in axes.containers
    }
    assert drawn == {"served": ([2], [0.4]), "before it": ([0, 2], [0.6, 0.5])}
    assert all(np.isfinite(path.vertices).all() for bars in axes.containers for path in bars.lines[2][0].get_paths())


def test_an_observation_replaces_the_one_before_it(tmp_path):
    nobody = Served(0, 0, {"reward": NONE, "clicked": NONE})
    value = LiveValue(
        nobody, nobody, {"reward": NONE, "clicked": NONE}, Interval(-0.2, -0.3, -0.1), [Day(MONDAY, NONE, NONE)]
    )
    write_observation(tmp_path / "report", MONDAY, nothing_served(), value, DRIFTS)
    text = (tmp_path / "report" / "report.md").read_text()
    assert "| reward | none | none | none |" in text
    assert "| reward of a day |  |  | -0.200 [-0.300, -0.100] |" in text
    assert "| device | 0.4 | 0.2 | **drifted** | b |" in text
    assert "| locale |  | 0.2 | not judged | found no rows today |" in text
    write_observation(tmp_path / "report", MONDAY, nothing_served(), None, {})
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["report.md"]
    text = (tmp_path / "report" / "report.md").read_text()
    assert text.endswith("**retrain** (no_release)\n\n- **fired** no_release: nothing is served yet\n")
