"""The benchmark beside d3rlpy: both see the same, take turns, and are judged by their own CPU time."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

from benchmarks.results import FOLDER, ROOT, to_markdown
from benchmarks.training_speed import __main__ as benchmark
from benchmarks.training_speed.__main__ import QUICK, Size, judged, ratio
from benchmarks.training_speed.observation import OBSERVED, observed, restored
from benchmarks.training_speed.ours import arrays, chains_of, transitions_of
from benchmarks.training_speed.protocol import SETTINGS, Spent, Worker
from newsrec import dataset
from newsrec.decisions import Decisions
from newsrec.encoders.scorer import HistoryScorer, NetworkConfig
from newsrec.events import KINDS
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import simulate

WORLD = {"readers": 40, "days": 5, "articles_per_day": 20, "candidates": 40, "seed": 4}


@pytest.fixture(scope="module")
def decisions() -> Decisions:
    return dataset.from_log(simulate(SimulationConfig(**WORLD)))  # type: ignore[arg-type]


def test_an_observation_holds_all_that_the_network_reads(decisions: Decisions, generator: torch.Generator) -> None:
    rows = transitions_of(decisions, reads=1)
    batch = decisions.batch(rows)
    network = HistoryScorer(NetworkConfig(), decisions.catalogue.trained).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=generator)
    expected = network.scores(batch.state, batch.candidates)
    assert not batch.candidates.mask.all(), "some have less to choose from"
    assert torch.equal(network.scores(*restored(list(observed(batch.state, batch.candidates).values()))), expected)


def test_episodes_follow_readers_and_hold_the_transitions_that_ours_are_drawn_from(decisions: Decisions) -> None:
    rows = transitions_of(decisions, reads=1)
    found = arrays(decisions, rows)
    chains = chains_of(decisions.next_row, rows)
    assert sorted(row for chain in chains for row in chain[:-1]) == rows.tolist()
    assert {len(found[name]) for name in (*OBSERVED, "action", "reward", "episode")} == {sum(map(len, chains))}
    for number, chain in enumerate(chains):
        assert len(set(decisions.user[chain])) == 1
        assert (found["episode"] == number).sum() == len(chain)
    order = np.concatenate(chains)
    assert np.array_equal(found["reward"], decisions.reward[order])
    feedback = decisions.feedback[:, KINDS.index("click")]
    for at, row in enumerate(order[:50]):
        shown = slice(decisions.slate.offsets[row], decisions.slate.offsets[row + 1])
        first = np.flatnonzero(feedback[shown])[:1]
        assert found["action"][at, 0] == decisions.slate.values[shown][first[0] if len(first) else 0]


def test_chains_by_hand() -> None:
    """Rows 0, 2 and 4 follow each other; 1 has no successor that counts, 3 only one behind it."""
    next_row = np.array([2, -1, 4, 5, 6, -1, -1])
    assert chains_of(next_row, np.array([0, 2, 3, 4])) == [[0, 2, 4, 6], [3, 5]]


def test_the_ratio_is_that_of_rounds_and_faster_is_more() -> None:
    found = ratio(np.array([[1.0, 2.0], [1.0, 8.0]]))
    away = 1.96 * np.log([2.0, 8.0]).std(ddof=1) / 2**0.5
    assert found == pytest.approx((4.0, 4.0 * np.exp(-away), 4.0 * np.exp(away)))


def test_a_bar_is_met_by_cpu_time_and_from_twice_as_fast_on() -> None:
    size = Size(batch=100, steps=2)
    fast = [(Spent(1.0, 9.0), Spent(2.5, 9.0)), (Spent(1.0, 9.0), Spent(2.0, 9.0))]
    slow = [(Spent(1.0, 1.0), Spent(1.5, 9.0)), (Spent(1.0, 1.0), Spent(2.0, 9.0))]
    figures, bars = judged({"train": fast, "update": slow, "mlp": slow}, size)
    assert [bar.met for bar in bars] == [True, False]
    assert [bar.value for bar in bars] == pytest.approx([5**0.5, 3**0.5])
    assert figures["train"]["transitions_per_cpu_second"] == {"newsrec": 200.0, "d3rlpy": pytest.approx(90.0)}
    assert figures["update"]["ratio_by_the_clock"].value == pytest.approx(9.0)


def test_a_process_trains_as_asked_and_says_what_it_took(python: Path, tmp_path: Path) -> None:
    (tmp_path / SETTINGS).write_text(json.dumps({"world": WORLD, "batch": 8, "reads": 1, "seed": 0}))
    worker = Worker(python, "benchmarks.training_speed.ours", tmp_path, ROOT)
    assert worker.about["transitions"] > 8
    assert worker.about["mean_reads"] >= 1
    few, many = worker.take("train", 1), worker.take("train", 12)
    assert 0.0 < few.cpu < many.cpu
    assert worker.take("update", 1).wall > 0.0
    worker.close()


def test_a_process_that_ends_is_quoted(python: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"ended with code 1:\n(.*\n)*.*settings.json"):
        Worker(python, "benchmarks.training_speed.ours", tmp_path, ROOT)


def test_where_d3rlpy_is_missing_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "THEIRS", tmp_path / "python")
    with pytest.raises(typer.Exit) as left:
        benchmark.main(quick=True)
    assert left.value.exit_code == 2
    assert "d3rlpy is not installed" in capsys.readouterr().err


@pytest.mark.skipif(not benchmark.THEIRS.exists(), reason="d3rlpy is not installed; make d3rlpy")
def test_a_quick_run_compares_both(tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    command = [sys.executable, "-m", "benchmarks.training_speed", "--quick", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())["figures"]["training_speed"]
    assert found["newsrec"]["transitions"] == found["d3rlpy"]["transitions"]
    assert len(found["train"]["ratio_of_rounds"]) == QUICK.rounds
    assert abs(found["newsrec"]["parameters"] / found["d3rlpy"]["parameters"] - 1.0) < 0.1, "an equal network"


def test_the_page_of_results_shows_those_of_the_benchmark() -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert to_markdown(FOLDER / "training_speed.json") in page
