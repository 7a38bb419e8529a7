"""An experiment from folder to files: the JSON and the Markdown, and what cannot be read."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from newsrec import events
from newsrec.config import InvalidConfig
from newsrec.evaluation.abtest.markdown import analyse_to
from newsrec.features import DAY
from tests.evaluation.abtest.logs import START, active_log

READING = json.dumps({"control": "old", "readers": 500})


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 readers; the new arm's come half as often again from day 5 of the experiment on."""
    generator = np.random.default_rng(2)
    rate, arms = generator.beta(1.0, 3.0, 500), np.where(generator.random(500) < 0.5, "new", "old")
    gain = np.where((arms == "new")[:, None] & (np.arange(60) >= 25), 1.5, 1.0)
    active = generator.random((500, 60)) < np.clip(rate[:, None] * gain, 0.0, 0.95)
    return events.write(active_log(active, np.zeros(500, int), arms, since=20), tmp_path_factory.mktemp("log") / "log")


def test_the_files_say_what_was_told(log: Path, tmp_path: Path) -> None:
    metrics, report = tmp_path / "metrics", tmp_path / "report"
    assert analyse_to(log, START + 60 * DAY, READING, metrics, report) == "new: better"
    (compared,) = json.loads(metrics.read_text())["comparisons"]
    text = report.read_text()
    assert text.startswith("# Experiment front-page\n\n| arm | readers | expected | window cut by the end |\n")
    assert f"## new: better\n\n{compared['reason']}.\n" in text
    cuped = compared["cuped"]
    ends = f"{cuped['low']:+.3g} to {cuped['high']:+.3g}"
    assert f"| active days in 28, CUPED | {cuped['difference']:+.3g} | {ends} | {cuped['lift']:+.1%} |" in text
    assert len({line.count("|") for line in text.splitlines() if line.startswith("| active")}) == 1
    assert "nan" not in text


def test_a_moment_ago_less_was_known(log: Path, tmp_path: Path) -> None:
    verdict = analyse_to(log, START + 40 * DAY, READING, tmp_path / "metrics", tmp_path / "report")
    assert verdict == "new: not enough evidence"
    text = (tmp_path / "report").read_text()
    assert re.search(r"\| active days in 28, CUPED \| unknown \|", text)
    censored = [line.split("|")[4].strip() for line in text.splitlines()[4:6]]
    assert [int(count) for count in censored] == [int(line.split("|")[2]) for line in text.splitlines()[4:6]]


@pytest.mark.parametrize("config", ["{", '{"control": "older"}', '{"day": 3}'])
def test_what_cannot_be_read_leaves_nothing(config: str, log: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig):
        analyse_to(log, START + 60 * DAY, config, tmp_path / "metrics", tmp_path / "report")
    assert not list(tmp_path.iterdir())
