"""docs/abtest.md shows what was measured and names what is there."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.results import FOLDER, to_markdown
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "abtest.md"


def test_the_table_is_that_of_the_benchmark() -> None:
    """Made by ``python -m benchmarks.abtest``."""
    assert PAGE.read_text(encoding="utf-8").endswith(f"\n{to_markdown(FOLDER / 'abtest.json')}")


def test_the_readers_that_a_plan_took_are_those_of_the_benchmark() -> None:
    found = json.loads((FOLDER / "abtest.json").read_text(encoding="utf-8"))["figures"]["planned"]
    readers = found["once"]["readers"], round(found["daily"]["mean_readers_when_ended"]), found["daily"]["readers"]
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    once, mean, most = (f"{count:,}" for count in readers)
    assert f"took {once} readers read once; looked at daily it took {mean} on average" in page
    assert f"and {most} at most." in page


def test_the_files_that_it_names_are_there() -> None:
    named = set(re.findall(r"`(\w+\.py)`", PAGE.read_text(encoding="utf-8")))
    here = {path.name for path in (ROOT / "newsrec" / "evaluation" / "abtest").glob("*.py")}
    assert len(named) > 6
    assert named <= here


def test_its_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from newsrec import events
    from newsrec.evaluation.abtest.diversion import arms_of
    from tests.evaluation.abtest.logs import log_of, visit

    monkeypatch.chdir(tmp_path)
    events.write(log_of([visit("ann", 0.0), visit("ann", 1.0, "new"), visit("bob", 2.0, "old")]), "log")
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(example, PAGE.name, "exec"), {})
    parts = {arm: events.read(f"logs/{arm}") for arm in arms_of(events.read("log"), "front-page")}
    assert {arm: part.decisions.num_rows for arm, part in parts.items()} == {"new": 2, "old": 2}
