"""The report says what the comparison holds; the plots are there and hold something."""

import numpy as np
import pytest
from matplotlib.image import imread

from newsrec.evaluation.comparison import compare
from newsrec.evaluation.gate import GateConfig, decide
from newsrec.evaluation.plots import label
from newsrec.evaluation.report import to_markdown, write_report
from tests.evaluation.rankings import noisy, ranking

BASE = noisy(0.3, 0)


@pytest.fixture
def comparison() -> dict:
    undefined = np.full(60, np.nan)
    rankings = {"popularity": ranking(BASE), "transformer": ranking(BASE + 0.1, lists=1), "silent": ranking(undefined)}
    return compare(rankings, ["popularity"])


def test_the_report_gives_every_figure_with_its_interval(comparison):
    text = to_markdown(comparison)
    cell = comparison["policies"]["transformer"]["ndcg_at_10"]
    row = next(line for line in text.splitlines() if line.startswith("| nDCG@10 |"))
    assert row.split(" | ")[2] == f"{cell['mean']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]"
    assert row.split(" | ")[3:] == ["not defined", "60 |"]
    assert "| coverage@10 | 0.500 | 0.500 | 0.500 | 60 |" in text
    assert "60 decisions of 20 readers, 2026-01-01 00:00 to 2026-01-02 05:30 UTC" in text
    assert "95% intervals from 1,000 resamples of the readers (seed 0)" in text


def test_only_differences_that_exclude_zero_are_bold(comparison):
    text = to_markdown(comparison)
    text = text[text.index("## Difference from popularity") :]
    assert "| nDCG@10 | **+0.100 [+0.100, +0.100]** | not defined |" in text
    assert "| same list@10 | +0.000 [+0.000, +0.000] | +0.000 [+0.000, +0.000] |" in text
    assert "| decisions with the same list | 0.0% | 100.0% |" in text


def test_a_verdict_stands_on_top(comparison):
    verdict = decide(comparison, "transformer", None, GateConfig())
    text = to_markdown(comparison, verdict)
    assert text.index("**Ship** transformer") < text.index("## Metrics")


def test_every_plot_that_the_report_shows_is_a_picture(comparison, tmp_path):
    text = write_report(tmp_path / "report", comparison).read_text()
    files = sorted(path.name for path in (tmp_path / "report").glob("*.png"))
    assert files == ["lifts.png", "lists.png", "policies.png", "slices.png"]
    for name in files:
        assert f"]({name})" in text
        picture = imread(tmp_path / "report" / name)
        assert picture.shape[1] == 1100
        ink = (picture[..., :3].min(axis=2) < 0.9).mean()
        assert 0.005 < ink < 0.2


def test_a_second_report_replaces_the_first(comparison, tmp_path):
    write_report(tmp_path / "report", comparison)
    alone = compare({"popularity": ranking(BASE)})
    text = write_report(tmp_path / "report", alone).read_text()
    assert "transformer" not in text
    assert "Difference" not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report"]
    assert not (tmp_path / "report" / "lifts.png").exists()


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("ndcg_at_10", "nDCG@10"),
        ("impression_ndcg_at_5", "impression nDCG@5"),
        ("same_list_at_3", "same list@3"),
        ("mrr", "MRR"),
        ("impression_auc", "impression AUC"),
    ],
)
def test_metrics_have_names_for_people(metric, words):
    assert label(metric) == words
