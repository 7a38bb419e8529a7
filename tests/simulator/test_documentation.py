"""docs/simulator.md shows what is there: its table is the generated one, its examples do what they say."""

import doctest
import re
from pathlib import Path

import pytest

from newsrec import config as configs
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.parameter_table import to_markdown
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "simulator.md"


def test_the_table_of_parameters_is_the_generated_one() -> None:
    """Made by ``newsrec simulate parameters --config configs/worlds/ebnerd.toml``."""
    table = to_markdown(configs.load(SimulationConfig, ROOT / "configs" / "worlds" / "ebnerd.toml"))
    assert PAGE.read_text().endswith(f"\n{table}")


def test_the_examples_do_what_they_say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """All in one session, from the repository's root."""
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```pycon\n(.*?)```", PAGE.read_text(), re.DOTALL)
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, PAGE.name, str(PAGE), 0)
    result = doctest.DocTestRunner().run(examples)
    assert result.attempted > 20
    assert not result.failed, capsys.readouterr().out


def test_pictures_and_links_lead_somewhere() -> None:
    text = PAGE.read_text()
    targets = re.findall(r"\]\((?!https?:)([^)]+)\)", text)
    headings = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", text, re.M)}
    for target in targets:
        path, _, anchor = target.partition("#")
        assert (PAGE.parent / path).exists() if path else anchor in headings, target
    assert {Path(target).suffix for target in targets} >= {".png", ".py"}
