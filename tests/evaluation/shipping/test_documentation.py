"""docs/gate.md shows what is there: its examples do what they say, its configuration is one, its verdict is printed."""

import doctest
import re

import pytest

from benchmarks.results import FOLDER
from benchmarks.results import to_markdown as table_of
from newsrec.evaluation.shipping.report import to_markdown
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "gate.md"


def test_the_examples_do_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    """All in one session, with the configuration of the page."""
    text = PAGE.read_text(encoding="utf-8")
    (toml,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    blocks = re.findall(r"```pycon\n(.*?)```", text, re.DOTALL)
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {"toml": toml}, PAGE.name, str(PAGE), 0)
    result = doctest.DocTestRunner().run(examples, clear_globs=False)
    assert result.attempted > 10
    assert not result.failed, capsys.readouterr().out
    shown = to_markdown(examples.globs["verdict"]("better", readers=400, lift=0.06)).rstrip()
    assert "\n".join(f"> {line}".rstrip() for line in shown.split("\n")) in text


def test_each_kind_of_verdict_is_shown() -> None:
    found = re.findall(r"^(ship|mix|refuse|not enough evidence) ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(found) == ["mix", "not enough evidence", "refuse", "ship"]


def test_what_was_measured_is_what_the_benchmark_wrote() -> None:
    assert table_of(FOLDER / "off_policy_gate.json").strip() in PAGE.read_text(encoding="utf-8")
