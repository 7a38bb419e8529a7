"""The file that every benchmark writes."""

import json
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.results import FOLDER, Bar, Results, machine, tables, to_markdown, versions, write
from tests.conftest import ROOT


def test_results_are_plain_json_with_the_bars_that_were_not_met(tmp_path: Path) -> None:
    bars = [
        Bar("AUC", np.float64(0.71), (0.70, 0.72), "0.70 or more", True),
        Bar("candidates", None, None, "not told by this log", False),
        Bar("share", 0.3, (-np.inf, np.inf), "0.5 or more", False),
    ]
    figures = {"curve": np.array([0.123456789, np.nan]), "n": np.int64(3)}
    found = Results("python -m x", {"a": "b"}, {"a": [1]}, machine(), versions(), figures, bars)
    write(found, tmp_path / "results" / "x.json")
    read = json.loads((tmp_path / "results" / "x.json").read_text())
    assert list(read) == ["command", "protocol", "seeds", "machine", "versions", "figures", "bars"]
    assert read["figures"] == {"curve": [0.123457, None], "n": 3}
    assert read["bars"][0] == {
        "name": "AUC", "value": 0.71, "interval": [0.7, 0.72], "bar": "0.70 or more", "met": True
    }  # fmt: skip
    assert read["bars"][1]["met"] is False
    assert read["machine"]["cores"] >= 1
    assert read["versions"]["commit"]
    table = to_markdown(tmp_path / "results" / "x.json").splitlines()
    assert table[2] == "| AUC | 0.70 or more | 0.71 | [0.7, 0.72] | yes |"
    assert table[3] == "| candidates | not told by this log |  |  | **no** |"
    assert table[4] == "| share | 0.5 or more | 0.3 | [-inf, inf] | **no** |"
    console = Console(width=160)
    with console.capture() as capture:
        console.print(tables(found))
    printed = capture.get()
    assert "0.71" in printed
    assert "not told by this log" in printed


def test_the_page_of_the_simulator_shows_the_results_of_its_benchmark() -> None:
    page = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    assert to_markdown(FOLDER / "simulator.json") in page
