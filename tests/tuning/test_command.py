"""``newsrec tune``: what it writes, what it goes on from, and what it refuses."""

import json
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from newsrec import cli, config, events
from newsrec.search_space import values_of, with_values
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.rollout import simulate
from newsrec.training import RunConfig
from newsrec.tuning.command import TUNED, to_toml
from newsrec.tuning.search import Trial, Tuned

RUN = """# Who is read most, lately.
# A second line.
policy = "popularity"

[training]
epochs = 2  # few
batch_size = 64
"""
SPACE = "[model]\nlearning_rate = {low = 1e-3, high = 0.3, log = true}\n[training]\nepochs = {low = 1, high = 3}\n"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuning") / "log"
    population = PopulationConfig(visits_per_day=2.0)
    world = SimulationConfig(readers=30, days=5, articles_per_day=10, candidates=30, seed=10, population=population)
    events.write(simulate(world), folder)
    return folder


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    (tmp_path / "spaces").mkdir()
    (tmp_path / "spaces" / "popularity.toml").write_text(SPACE)
    (tmp_path / "run.toml").write_text(RUN)
    return tmp_path / "run.toml"


@pytest.fixture
def tune(monkeypatch: pytest.MonkeyPatch, run_file: Path, log: Path) -> Callable[..., int]:
    def tune(*arguments: object, of: Path = run_file) -> int:
        """The exit code of ``newsrec tune`` for the run, on the log."""
        monkeypatch.setattr(sys, "argv", ["newsrec", "tune", str(of), "--log", str(log), *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0)

    return tune


def test_the_best_run_is_written_with_the_comments_of_the_old_one(
    tune: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, record = tmp_path / "tuned.toml", tmp_path / "record.jsonl"
    assert tune("--trials", 3, "--record", record, "--out", out) == 0
    printed = capsys.readouterr()
    assert [line.split()[:3] for line in printed.err.splitlines()] == [
        ["popularity", "trial", f"{number}/3"] for number in (1, 2, 3)
    ]
    assert f"written to {out}" in printed.out
    first, second, tuned, *rest = out.read_text().splitlines()
    assert [first, second] == RUN.splitlines()[:2]
    assert re.match(f"{TUNED}validation nDCG@10 on a log of [0-9]+ decisions 0[.]", tuned)
    assert tuned.endswith("as it was, the best of 3 trials.")
    assert sum("# few" in line for line in rest) == 1
    made = config.load(RunConfig, out)
    trials = [json.loads(line) for line in record.read_text().splitlines()[1:]]
    best = max(trials, key=lambda trial: trial["value"])
    assert values_of(made, best["values"]) == best["values"]
    assert made.training.batch_size == 64
    assert f"{best['value']:.4f}, {trials[0]['value']:.4f} as it was" in tuned


def test_what_is_a_default_is_not_written() -> None:
    """A space with a default of the policy, of the training and of neither: steps are 1 by default."""
    values = {"model.learning_rate": 1e-3, "model.alpha": 0.5, "training.epochs": 20, "steps": 2}
    run = with_values(RunConfig("cql"), values)
    text = 'policy = "cql"\n\n[model]\nlearning_rate = 2e-3\n\n[training]\nepochs = 4\n'
    written = to_toml(text, Tuned(run, [Trial(values, 1.0)]), "a figure")
    assert tomllib.loads(written) == {"policy": "cql", "steps": 2, "model": {"alpha": 0.5}}
    assert config.from_mapping(RunConfig, tomllib.loads(written)).steps == 2
    assert written.startswith(f"{TUNED}a figure 1.0000, 1.0000 as it was, the best of 1 trials.")


def test_a_run_is_tuned_in_its_own_file_and_again(tune: Callable[..., int], run_file: Path) -> None:
    assert tune("--trials", 2, "--out", run_file) == 0
    assert tune("--trials", 2, "--out", run_file, "--search-seed", 1) == 0
    lines = run_file.read_text().splitlines()
    assert sum(line.startswith(TUNED) for line in lines) == 1
    assert tomllib.loads(run_file.read_text())["policy"] == "popularity"


def test_without_a_file_nothing_is_written(tune: Callable[..., int], tmp_path: Path, run_file: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert tune("--trials", 1) == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert run_file.read_text() == RUN


def test_what_was_tried_is_not_tried_again(
    tune: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "record.jsonl"
    assert tune("--trials", 2, "--record", record) == 0
    told = capsys.readouterr()

    def refused(*arguments: object) -> None:
        raise AssertionError("nothing is left to train")

    monkeypatch.setattr("newsrec.tuning.figures.train", refused)
    assert tune("--trials", 2, "--record", record) == 0
    assert capsys.readouterr() == told
    assert tune("--trials", 2, "--record", record, "--seeds", 2) == 2
    assert "is the record of another search" in capsys.readouterr().err


def test_active_days_of_simulated_readers_are_tuned_by_where_a_world_is_named(
    tune: Callable[..., int], tmp_path: Path
) -> None:
    world, out = tmp_path / "world.toml", tmp_path / "tuned.toml"
    world.write_text("seed = 20\narticles_per_day = 10\ncandidates = 30\n")
    judged = ["--trials", 2, "--record", tmp_path / "record.jsonl", "--world", world, "--set", "readers=8"]
    assert tune(*judged, "--set", "days=2", "--out", out) == 0
    assert f"\n{TUNED}active days of 8 simulated readers in 2 days " in out.read_text()
    assert tune(*judged, "--set", "days=2", "--set", "seed=21") == 2, "other readers are another search"


@pytest.mark.parametrize(
    ("policy", "more", "found"),
    [
        ("dqn", (), "dqn gives clicks away on purpose, and nDCG would choose who does not: expected --world"),
        ("dwell", (), "dwell gives clicks away on purpose"),
        ("popularity", ("--set", "days=2"), "found --set days=2 without --world"),
        ("nrms", ("--space", "nowhere.toml"), "nowhere.toml: No such file or directory"),
    ],
)
def test_what_cannot_be_tuned_is_refused_in_a_sentence(
    policy: str,
    more: tuple[str, ...],
    found: str,
    tune: Callable[..., int],
    run_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spaces = run_file.parent / "spaces"
    (spaces / f"{policy}.toml").write_text("[model]\nlearning_rate = {low = 1e-4, high = 0.3, log = true}\n")
    other = run_file.with_name("other.toml")
    other.write_text(f'policy = "{policy}"\n')
    assert tune(*more, of=other) == 2
    printed = capsys.readouterr()
    assert found in printed.err
    assert printed.err.count("\n") == 1
