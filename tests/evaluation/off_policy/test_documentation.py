"""docs/off_policy.md shows what is there: its table is the committed results, its examples do what they say."""

import doctest
import json
import re

import pytest

from benchmarks.off_policy import agreement, policies
from benchmarks.results import FOLDER, to_markdown
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "off_policy.md"


def test_the_table_is_that_of_the_results() -> None:
    """Made by ``python -m benchmarks.off_policy``."""
    assert PAGE.read_text().endswith(f"\n{to_markdown(FOLDER / 'off_policy.json')}")


def test_the_tables_of_trained_policies_are_those_of_the_results() -> None:
    """Made by ``python -m benchmarks.off_policy --only policies``."""
    made = FOLDER / "off_policy_policies.json"
    rooms = json.loads(made.read_text(encoding="utf-8"))["figures"]["policies"].values()
    tables = [to_markdown(made)]
    for kind in (policies.VISITS, policies.GUESTS):
        found = policies.mean_of([room["truths"][kind]["estimators"] for room in rooms])
        tables.append(agreement.to_markdown(found))
    for table in tables:
        assert f"\n{table}\n" in PAGE.read_text()


def test_the_examples_do_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    """All in one session."""
    blocks = re.findall(r"```pycon\n(.*?)```", PAGE.read_text(), re.DOTALL)
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, PAGE.name, str(PAGE), 0)
    result = doctest.DocTestRunner().run(examples)
    assert result.attempted > 20
    assert not result.failed, capsys.readouterr().out


def test_every_name_in_the_table_exists() -> None:
    """``module.function`` of the package, and the further functions that a cell names."""
    modules = {}
    for module in ("contextual", "slate", "sequential", "return_time", "slope", "uncertainty", "diagnostics", "logged"):
        modules[module] = __import__(f"newsrec.evaluation.off_policy.{module}", fromlist=[module])
    named = re.findall(r"`(\w+)\.(\w+)`", PAGE.read_text())
    ours = [(module, name) for module, name in named if module in modules]
    assert len(ours) > 12
    assert not [f"{module}.{name}" for module, name in ours if not hasattr(modules[module], name)]
