"""What a comparison shows people and programs."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

from newsrec.compare.jobs import plan
from newsrec.compare.outcomes import Curve, Outcomes, judged
from newsrec.compare.plots import captions
from newsrec.compare.report import FOLDER, REPORT, RESULTS, tables, to_markdown, write
from newsrec.evaluation.contrast import Point
from newsrec.simulator.lives import Lives
from tests.compare.studies import study

STUDY = study(seeds=[1, 2], worlds={"nominal": {}, "indifferent": {"elasticity": 0.0}}, oracles=True)


def lives(mean: float) -> dict[int, Lives]:
    """Of four readers a seed, with ``mean`` active days."""
    found = {}
    for seed in (1, 2):
        values = {name: np.full(4, 2.0) for name in Lives._fields}
        days = mean + np.array([-1.0, 0.0, 0.5, 0.5]) + 0.1 * seed
        found[seed] = Lives(**values | {"active_days": days, "week_visits": np.zeros(4)})
    return found


def outcomes() -> Outcomes:
    known = {"popularity": lives(2.0), "lottery": lives(1.5), "planner": lives(3.0), "greedy_click": lives(2.0)}
    flat = {name: lives(2.0) for name in known}
    worlds = {"nominal": judged(known, "popularity"), "indifferent": judged(flat, "popularity")}
    points = [Point(at, worlds[world].contrasts["lottery"]) for world, at in (("indifferent", 0.0), ("nominal", 1.5))]
    return Outcomes(worlds, {"lottery": Curve(points, True, False)})


def test_the_report_holds_figures_for_people_and_for_programs(tmp_path: Path) -> None:
    written = write(STUDY, plan(STUDY), outcomes(), tmp_path)
    assert written == tmp_path / FOLDER
    results = json.loads((written / RESULTS).read_text())
    nominal = results["worlds"]["nominal"]
    assert results["simulated"] is True
    assert nominal["levels"]["lottery"]["active_days"]["value"] == pytest.approx(1.65)
    assert nominal["contrasts"]["lottery"]["difference"] == pytest.approx(-0.5)
    assert nominal["headroom"]["lottery"]["value"] == pytest.approx(-0.5)
    assert results["worlds"]["indifferent"]["headroom"]["lottery"]["value"] is None  # 0 / 0
    assert results["artefacts"]["popularity"].keys() == {"1", "2"}
    assert results["artefacts"]["popularity"]["1"] == f"train/{plan(STUDY).trainings['popularity', 1].key}/artefact"
    assert [point["elasticity"] for point in results["curves"]["lottery"]["points"]] == [0.0, 1.5]
    assert {path.name for path in written.iterdir()} == {REPORT, RESULTS, *captions(STUDY, outcomes())}
    again = write(STUDY, plan(STUDY), outcomes(), tmp_path)
    assert json.loads((again / RESULTS).read_text()) == results


def test_tables_say_what_is_simulated_who_is_the_baseline_and_what_is_unknown() -> None:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(tables(STUDY, outcomes()))
    for text in (console.export_text(), to_markdown(STUDY, outcomes())):
        lines = text.splitlines()
        assert sum("Simulated active days in 2 days from assignment: nominal" in line for line in lines) == 1
        (lottery, *_), (baseline, *_) = ([x for x in lines if name in x] for name in ("lottery", "(baseline)"))
        assert "1.650" in lottery
        assert "-23.3%" in lottery  # 0.5 of 2.15 days
        assert "-50.0%" in lottery
        assert "%" not in baseline
        assert "nan" not in text
        assert "unknown" in text  # nobody came a week before the end
        assert "(oracle)" in text


def test_a_report_of_one_seed_says_what_its_intervals_leave_out() -> None:
    one = study(oracles=False)
    found = Outcomes({"nominal": judged({n: {1: lives(2.0)[1]} for n in ("popularity", "lottery")}, "popularity")}, {})
    text = to_markdown(one, found)
    assert "One training seed: the 95 % intervals are about readers" in text
    assert "headroom" not in text.replace("share of the headroom", "")
    assert captions(one, found).keys() == {"active_days.png", "lift.png"}
    assert "over 2 training seeds" in to_markdown(STUDY, outcomes())


def test_every_plot_says_that_it_is_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Figure] = {}

    def keep(figure: Figure, path: Path, **_: Any) -> None:
        drawn[path.name] = figure

    monkeypatch.setattr(Figure, "savefig", keep)
    write(STUDY, plan(STUDY), outcomes(), tmp_path)
    assert drawn.keys() == {"active_days.png", "lift.png", "headroom.png", "elasticity.png"}
    for figure in drawn.values():
        titles = [axes.get_title() for axes in figure.axes]
        assert all("simulated" in title.lower() for title in titles)
    nominal = next(axes for axes in drawn["lift.png"].axes if "nominal" in axes.get_title())
    assert centres(nominal) == pytest.approx([-50 / 2.15, 100 / 2.15, 0.0])
    ends = drawn["elasticity.png"].axes[0].lines[0].get_ydata()
    assert list(ends) == pytest.approx([0.0, -50 / 2.15])


def centres(axes: Axes) -> list[float]:
    """Where the dots of a panel are, from the first row down."""
    return [bars.lines[0].get_xdata()[0] for bars in axes.containers if not math.isnan(bars.lines[0].get_xdata()[0])]
