"""``newsrec data``: what it writes and prints, and how it fails."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from newsrec import cli, events
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.parameter_table import to_markdown

BEHAVIORS = "1\tann\t11/14/2019 9:00:00 AM\tN1\tN3-0 N4-1\n2\tbob\t11/14/2019 9:30:00 AM\t\tN3-0 N4-0\n"
NEWS = "N3\tnews\tworld\tSnow\t\t\t[]\t[]\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "behaviors.tsv").write_text(BEHAVIORS)
    (folder / "news.tsv").write_text(NEWS)
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def run(*arguments: object) -> int:
        """The exit code of ``newsrec`` with ``arguments``."""
        monkeypatch.setattr(sys, "argv", ["newsrec", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0)

    return run


def test_an_imported_log_is_written_and_summed_up(
    source: Path, tmp_path: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "log"
    assert run("data", "mind", source, "--out", out, "--timezone", "America/New_York") == 0
    printed = capsys.readouterr()
    lines = {" ".join(line.split()) for line in printed.out.splitlines()}
    assert {
        "decisions 2",
        "imported visits 1",
        "readers 2",
        "articles 3 (1 with a title)",
        "events 6",
        "time 2019-11-14 14:00 to 2019-11-14 14:30 UTC",
        "click rate 25.00% (1 of 4 shown)",
        "propensities not logged",
        "history_time_made_up: reads before the log have an order but no clock",
        "published_at_first_sight: articles appear when the log first shows them",
        f"written to {out}",
    } == lines
    assert printed.err == ""
    log = events.read(out)
    assert log.recommendations.num_rows == 3
    assert log.flags == {"history_time_made_up", "published_at_first_sight"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "mind", "{source}"], "times carry no timezone"),
        (["data", "mind", "{source}", "--timezone", "Mars"], "timezone: found 'Mars', expected an IANA name"),
        (["data", "mind", "{source}/none", "--timezone", "UTC"], "No such file or directory"),
        (["data", "mind", "{source}/broken", "--timezone", "UTC"], "line 1: found 1 tab-separated columns, expected 5"),
        (["data", "ebnerd", "{source}", "--timezone", "UTC"], "behaviors.parquet"),
        (["data", "interactions", "{source}"], "expected one file .inter in the folder"),
        (["data", "obd", "{source}"], "expected the folders random and bts"),
        (["simulate", "--set", "reader=5"], "unknown key reader; did you mean readers?"),
        (["simulate", "--set", "utility.like=2"], "config.utility: like is 2.0, expected a probability in [0, 1]"),
        (["simulate", "--config", "{source}/none.toml"], "No such file or directory"),
        (["simulate", "calibrate", "--log", "{source}/none"], "found no log '{source}/none'"),
        (["simulate", "calibrate", "--log", "mind:{source}"], "times carry no timezone"),
        (["simulate", "calibrate", "--log", "mind:{source}", "--timezone", "UTC"], "the log tells no parameter"),
        (["simulate", "calibrate", "--log", "mind:{source}", "--set", "days=0"], "days is 0, expected 1 or more"),
        (["simulate", "calibrate", "--log", "mind:{source}", "--readers", "0"], "readers is 0, expected 1 or more"),
        (["simulate", "--set", "readers=1", "--set", "days=1"], "1 readers asked for nothing in 1 days"),
    ],
)
def test_an_error_is_one_sentence_and_nothing_is_written(
    source: Path,
    tmp_path: Path,
    run: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    (source / "broken").mkdir()
    (source / "broken" / "behaviors.tsv").write_text("nothing\n")
    (source / "broken" / "news.tsv").write_text(NEWS)
    code = run(*(argument.format(source=source) for argument in arguments), "--out", tmp_path / "log")
    printed = capsys.readouterr()
    assert code == 2
    assert printed.err.startswith("newsrec: ")
    assert message.format(source=source) in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_folder_of_other_things_is_left_alone(
    source: Path, tmp_path: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("words")
    assert run("data", "mind", source, "--out", tmp_path / "mine", "--timezone", "UTC") == 2
    assert "exists and is no event log; expected a new or an empty folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_the_columns_of_interactions_are_options(tmp_path: Path, run: Callable[..., int]) -> None:
    source = tmp_path / "log.csv"
    source.write_text("who,what,stars,when\nann,a,5,2024-05-01 12:00:00\nann,b,1,2024-05-01 12:05:00\n")
    items = tmp_path / "items.csv"
    items.write_text("item,title\na,Snow\n")
    options = ["--user", "who", "--item", "what", "--rating", "stars", "--time", "when", "--min-rating", "3"]
    out = tmp_path / "log"
    arguments = ["--out", out, "--items", items, "--timezone", "Asia/Tokyo"]
    assert run("data", "interactions", source, *arguments, *options) == 0
    log = events.read(out)
    assert log.feedback["article_id"].to_pylist() == ["a"]
    assert log.articles["title"].to_pylist() == ["Snow"]
    assert str(log.feedback["time"][0]) == "2024-05-01 03:00:00+00:00"


def test_a_simulated_log_is_written_and_summed_up(
    tmp_path: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The file's values, then those of --set; what is printed counts what was written."""
    settings = tmp_path / "small.toml"
    settings.write_text('days = 1\nreaders = 9\nstart = "2024-05-01"\n[population]\nvisits_per_day = 4.0\n')
    out = tmp_path / "log"
    assert run("simulate", "--config", settings, "--out", out, "--set", "readers=5", "--set", "slate_size=3") == 0
    log, printed = events.read(out), " ".join(capsys.readouterr().out.split())
    assert f"decisions {log.recommendations.num_rows} " in printed
    assert "propensities logged" in printed
    assert f"written to {out}" in printed
    assert 1 < len(set(log.recommendations["user_id"].to_pylist())) <= 5
    assert {len(slate) for slate in log.recommendations["slate"].to_pylist()} == {3}
    assert {str(time.date()) for time in log.recommendations["time"].to_pylist()} == {"2024-05-01"}


def test_a_world_is_calibrated_to_a_log_and_simulated_again(
    tmp_path: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    log, out, again = tmp_path / "log", tmp_path / "fit", tmp_path / "again"
    world = ["--set", "days=2", "--set", "slate_size=5", "--set", "candidates=30", "--set", "population.bots=0"]
    keen = ["--set", "population.visits_per_day=2", "--set", "population.activity_spread=0.3"]
    assert run("simulate", "--out", log, *world, *keen, "--set", "readers=120", "--set", "seed=7") == 0
    assert run("simulate", "calibrate", "--log", log, "--out", out, *world, "--readers", "120") == 0
    printed = capsys.readouterr().out
    assert "population.visits_per_day" in printed
    assert "newsroom.shelf_life_hours" not in printed  # the number of candidates cut the lists, not their age
    assert f"written to {out}" in printed
    assert {path.name for path in out.iterdir()} == {"world.toml", "report.md", "curves.png", "calibration.json"}
    assert run("simulate", "--config", out / "world.toml", "--out", again, "--set", "readers=9") == 0
    assert {len(slate) for slate in events.read(again).recommendations["slate"].to_pylist()} <= {4, 5}


def test_the_parameters_of_a_world_are_printed(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("simulate", "parameters", "--set", "elasticity=0") == 0
    printed = capsys.readouterr().out
    assert printed == to_markdown(SimulationConfig(elasticity=0.0))
    assert "| `elasticity` | 0.0 (default 1.5) |  | assumed |" in printed


def test_options_of_a_simulation_stand_where_they_belong(
    tmp_path: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("simulate", "--set", "readers=9") == 2
    assert "missing, expected a folder to write to" in " ".join(capsys.readouterr().err.split())
    assert run("simulate", "--set", "readers=9", "calibrate", "--log", tmp_path, "--out", tmp_path / "fit") == 2
    assert "options stand behind calibrate" in capsys.readouterr().err
    assert run("simulate", "calibrate", "--help") == 0


def test_wrong_usage_ends_with_two(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "mind") == 2
    assert "Missing argument" in capsys.readouterr().err
    assert run("data", "netflix", "x") == 2
    assert run("--help") == 0


def test_every_flag_has_a_meaning() -> None:
    flags = {events.ORDINAL_TIME, events.HISTORY_TIME_MADE_UP, events.FIRST_SIGHT}
    assert cli.FLAG_MEANINGS.keys() == flags | {events.CANDIDATES_CUT, events.NO_READER_IDS}


def test_the_program_runs_as_a_process(real_data: Callable[[str], Path], python: Path, tmp_path: Path) -> None:
    arguments = ["data", "obd", str(real_data("obd-men")), "--out", str(tmp_path / "log")]
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parent.parent)}
    command = [python, "-m", "newsrec.cli", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "0.57% (115 of 20,000 shown)" in done.stdout
    assert events.read(tmp_path / "log").recommendations.num_rows == 20_000
