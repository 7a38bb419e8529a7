"""The command, as it is typed."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from newsrec import artifact, cli
from newsrec.compare import work
from newsrec.compare.artefacts import play_artefacts
from newsrec.compare.jobs import RECORD, plan
from newsrec.compare.scheduling import run
from newsrec.compare.study import load
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.lives import live_under
from newsrec.slate import SlateConfig
from tests.compare.studies import Free, study, to_toml

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def newsrec(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str]]:
    """Runs the command line and returns its exit code and all that it said, in one line."""

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["newsrec", *arguments])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), " ".join((out + err).split())

    return call


@pytest.fixture
def study_file(tmp_path: Path) -> str:
    path = tmp_path / "study.toml"
    path.write_text(to_toml(study()))
    return str(path)


def test_a_study_costs_first_stops_in_time_and_goes_on(
    newsrec: Callable[..., tuple[int, str]], study_file: str, tmp_path: Path
) -> None:
    out = tmp_path / "runs" / "small"
    code, told = newsrec("compare", study_file, "--out", str(out))
    assert (code, "expected --yes to begin without asking" in told) == (2, True)
    assert "play lottery" in told  # the cost
    assert "hours" in told
    assert not (out / "report").exists()
    whole = plan(load(study_file))
    code, told = newsrec("compare", study_file, "--out", str(out), "--yes", "--hours", "0")
    assert code == 0
    left = sum(not job.done(out) for job in whole.jobs)
    assert left > 0
    assert f"the time is over: {left} of {len(whole.jobs)} jobs are left, which take about 1 min" in told
    assert "the same command goes on from here" in told
    code, told = newsrec("compare", study_file, "--out", str(out), "--yes", "--hours", "1")
    assert code == 0
    assert f"{left}/{left} play lottery in nominal, seed 1" in told
    assert "Simulated active days in 2 days from assignment: nominal" in told
    assert (out / "report" / "report.md").exists()
    made = {path: path.stat().st_mtime_ns for path in out.glob(f"*/*/{RECORD}")}
    code, told = newsrec("compare", study_file, "--out", str(out))  # nothing to do, nothing to agree to
    assert (code, "seconds each" in told) == (0, False)
    assert made == {path: path.stat().st_mtime_ns for path in out.glob(f"*/*/{RECORD}")}


def test_an_impossible_study_is_one_sentence(
    newsrec: Callable[..., tuple[int, str]], study_file: str, tmp_path: Path
) -> None:
    found = newsrec("compare", study_file, "--out", str(tmp_path / "out"), "--set", "baseline=nobody", "--yes")
    assert found == (2, f"newsrec: {study_file}: baseline is 'nobody', expected one of popularity, lottery")
    assert not (tmp_path / "out").exists()


def test_the_studies_that_come_with_newsrec_can_be_planned() -> None:
    for path in sorted((ROOT / "configs" / "compare").glob("*.toml")):
        jobs = plan(load(path)).jobs
        assert {job.kind for job in jobs} == {"log", "train", "play"}, path


def test_artefacts_play_over_paired_readers(tmp_path: Path) -> None:
    whole = plan(study())
    run(whole.jobs[:2], tmp_path, Free())
    served = whole.trainings["popularity", 1].at(tmp_path) / work.ARTEFACT
    made = artifact.load(served)
    with torch.no_grad():
        for weight in made.policy.parameters():
            weight.neg_()
    worst = artifact.save(artifact.create(made.name, made.policy, made.catalogue), tmp_path / "worst")
    world = SimulationConfig(readers=30, days=3, articles_per_day=20, elasticity=8.0)
    found = play_artefacts({"worst": worst, "served": served, "copy": served}, "served", world, seeds=[11])
    assert found.keys() == {"worst", "copy"}
    assert (found["copy"].difference, found["copy"].seeds, found["copy"].readers) == (0.0, 1, 30)
    days = [live_under(replace(world, seed=11), work.actor_of(of, SlateConfig())).active_days for of in (worst, served)]
    assert found["worst"].difference == pytest.approx(float((days[0] - days[1]).mean()))
    assert found["worst"].difference != 0.0
