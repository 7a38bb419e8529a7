"""What the demo says of simulated readers, in a world of 24 of them and three days."""

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from rich.console import Console

from newsrec import artifact, config, ingestion
from newsrec.compare.jobs import RECORD
from newsrec.compare.outcomes import OfSeeds
from newsrec.compare.work import actor_of
from newsrec.evaluation.contrast import contrast
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.lives import live_under
from newsrec.simulator.readers import PopulationConfig
from newsrec.training import RunConfig
from pipelines.local import RunResult
from pipelines.submission import code_digest
from scripts import demo, demo_policies, simulated_readers
from scripts.simulated_readers import SLATE, best_against_supervised, by_name, play, table, told, unknown
from tests.trained import made

NAMES = ["popularity", "transformer", "dqn", "iql", "dwell"]
LOG = SimulationConfig(articles_per_day=20, elasticity=4.0, population=PopulationConfig(visits_per_day=2.0))
WORLD = unknown(LOG, readers=24, days=3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Artefacts in another order than the demo's."""
    root = tmp_path_factory.mktemp("trained")
    return [artifact.save(made(name, seed), root / f"model{seed}") for seed, name in enumerate(sorted(NAMES))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("played")


@pytest.fixture(scope="module")
def lives(trained: list[Path], folder: Path) -> dict[str, OfSeeds]:
    return play(by_name(trained, NAMES), WORLD, folder, workers=1)


@pytest.fixture
def paper() -> Console:
    """A console whose text can be read."""
    return Console(file=io.StringIO(), width=120, highlight=False)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_readers_and_articles_are_not_those_of_the_log() -> None:
    assert replace(LOG, seed=LOG.seed + 1, readers=24, days=3) == WORLD


def test_every_policy_has_the_same_readers_with_the_same_luck(trained: list[Path], lives: dict[str, OfSeeds]) -> None:
    """The first and the last of them are what they are alone."""
    assert list(lives) == NAMES
    found = by_name(trained, NAMES)
    for name in (NAMES[0], NAMES[-1]):
        where = found[name]
        alone = live_under(WORLD, actor_of(where, SLATE))
        for of_seed, expected in zip(lives[name][WORLD.seed], alone, strict=True):
            assert (of_seed == expected).all(), name


def test_the_table_is_about_simulated_readers_and_gives_differences_with_intervals(lives: dict[str, OfSeeds]) -> None:
    made_of, console = table(lives, WORLD), Console(file=io.StringIO(), width=120)
    assert made_of.title == "Simulated active days in 3 days from assignment, 24 readers"
    console.print(made_of)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text(console).splitlines() if "│" in line]
    assert [row[0] for row in rows] == [*NAMES, f"{best_against_supervised(lives)[0]} less dwell"]
    days = {name: of_seeds[WORLD.seed].active_days for name, of_seeds in lives.items()}
    for (name, active, difference, clicks, minutes), of_seeds in zip(rows[:-1], lives.values(), strict=True):
        found = of_seeds[WORLD.seed]
        expected = contrast({1: found.active_days}, {1: days["transformer"]})
        assert active == f"{found.active_days.mean():.2f}"
        assert difference == ("" if name == "transformer" else told(expected))
        assert (clicks, minutes) == (f"{found.clicks.mean():.1f}", f"{found.dwell_minutes.mean():.1f}")
    best = max(("dqn", "iql"), key=lambda name: days[name].mean())
    assert rows[-1] == [f"{best} less dwell", "", told(contrast({1: days[best]}, {1: days["dwell"]})), "", ""]
    assert len({days[name].sum() for name in NAMES}) > 1  # policies differ in this world


def test_what_was_played_is_not_played_again(trained: list[Path], folder: Path, lives: dict[str, OfSeeds]) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.glob(f"*/*/{RECORD}")}
    assert len(before) == len(NAMES)
    again = play(by_name(trained, NAMES), WORLD, folder, workers=1)
    assert {path: path.stat().st_mtime_ns for path in folder.glob(f"*/*/{RECORD}")} == before
    assert (again["dqn"][WORLD.seed].clicks == lives["dqn"][WORLD.seed].clicks).all()


def test_another_artefact_in_the_same_place_is_played_anew(trained: list[Path], tmp_path: Path) -> None:
    where = tmp_path / "model"
    for seed in (1, 2):
        artifact.save(made("transformer", seed), where)
        play({"transformer": where}, replace(WORLD, days=1, readers=3), tmp_path / "played", workers=1)
    assert len(list(tmp_path.glob(f"played/*/*/{RECORD}"))) == 2


def test_remarks_name_one_seed_and_the_assumption(
    trained: list[Path], folder: Path, lives: dict[str, OfSeeds], paper: Console
) -> None:
    simulated_readers.who_comes_back(trained, NAMES, WORLD, folder, paper, workers=1)
    said = " ".join(text(paper).split())
    assert "24 simulated readers, 3 days under each policy" in said
    assert "one training seed" in said
    assert "(elasticity 4) is an assumption" in said
    assert table(lives, WORLD).title in said


def test_a_policy_that_cannot_be_played_is_told_and_no_error(
    trained: list[Path], tmp_path: Path, paper: Console
) -> None:
    sick = made("dqn")
    with torch.no_grad():
        for weight in sick.policy.parameters():
            weight.fill_(float("nan"))
    broken = artifact.save(artifact.create("dqn", sick.policy, sick.catalogue), tmp_path / "model")
    simulated_readers.who_comes_back([broken], ["dqn"], WORLD, tmp_path / "played", paper, workers=1)
    said = " ".join(text(paper).split())
    assert "Nobody was followed to the end: play dqn, world 1 failed: ValueError" in said
    assert "Simulated active days" not in said


def test_a_log_without_propensities_and_dwell_is_told_what_it_lacks(real_data: Callable[[str], Path]) -> None:
    reasons = dict(
        line.split(" is left out: ") for line in demo_policies.left_out(f"mind:{real_data('mind-5k')}", "UTC")
    )
    assert list(reasons) == ["dqn", "iql", "dwell"]
    assert reasons["dqn"].startswith("no propensities")
    assert reasons["dwell"] == "the log does not say how long reads last"


def test_a_log_that_lacks_nothing_is_told_how_to_train_them(tmp_path: Path) -> None:
    ingestion.simulate_to(SimulationConfig(readers=80, days=3, articles_per_day=20), tmp_path / "log")
    reasons = dict(line.split(" is left out: ") for line in demo_policies.left_out(f"events:{tmp_path / 'log'}", "UTC"))
    for name, reason in reasons.items():
        assert reason == (
            f"python -m pipelines run --source events:{tmp_path / 'log'} --policy configs/{name}.toml trains it"
        )


def test_the_demo_trains_what_it_speaks_of() -> None:
    policies = [config.load(RunConfig, path).policy for path in demo_policies.IN_SIMULATION]
    assert policies == [path.stem for path in demo_policies.IN_SIMULATION]
    assert {simulated_readers.CLICKS, simulated_readers.SUPERVISED, *demo_policies.LONG_TERM} <= set(policies)
    shares = {config.load(RunConfig, path).training.test for path in demo_policies.IN_SIMULATION}
    assert len(shares) == 1  # the judge wants all to be trained on the same decisions


@pytest.fixture
def pipeline(
    trained: list[Path], folder: Path, paper: Console, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Path:
    """A run of the training pipeline that is over: the demo finds what it left, and follows the readers of WORLD."""
    result = RunResult(tmp_path, [], [], tmp_path / "log", trained)
    result.verdict_directory.mkdir(parents=True)
    (result.verdict_directory / "verdict.md").write_text("**Ship** transformer.")
    monkeypatch.setattr(demo, "console", paper)
    monkeypatch.setattr(demo, "run", lambda *_: result)
    monkeypatch.setattr(demo.page, "write", lambda out, run: out.write_text(f"page of {run}"))
    monkeypatch.setattr(demo, "unknown", lambda log: WORLD)
    monkeypatch.setattr(demo, "who_comes_back", partial(simulated_readers.who_comes_back, workers=1))
    return tmp_path


def test_the_table_follows_the_verdict(
    pipeline: Path, lives: dict[str, OfSeeds], paper: Console, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    played = pipeline / "played" / code_digest()
    played.parent.mkdir()
    shutil.copytree(folder, played)  # a world that is played already
    demo.train("simulated", "UTC", pipeline, demo.GATE)
    said = text(paper)
    parts = [
        "1  Pipeline",
        "**Ship** transformer.",
        "3  Who comes back",
        "Simulated active days",
    ]
    assert [said.index(part) for part in parts] == sorted(said.index(part) for part in parts)
    assert demo.page_of(pipeline).read_text() == f"page of {pipeline}"
    assert len(list(played.glob(f"*/*/{RECORD}"))) == len(list(folder.glob(f"*/*/{RECORD}")))


def test_a_foreign_log_has_no_such_table(pipeline: Path, paper: Console, tmp_path: Path) -> None:
    ingestion.simulate_to(SimulationConfig(readers=30, days=2, articles_per_day=20), tmp_path / "events")
    demo.train(f"events:{tmp_path / 'events'}", "UTC", pipeline, None)
    said = text(paper)
    assert "**Ship** transformer." in said
    assert "dqn is left out: " in said
    assert "Who comes back" not in said
    assert "Simulated" not in said
