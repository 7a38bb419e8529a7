"""``newsrec plan-test`` and ``newsrec experiment``: what they print and write, and one sentence for what is wrong."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from newsrec import cli, events
from newsrec.evaluation.abtest.command import share_of
from newsrec.evaluation.abtest.plan import PlanConfig, Traffic, plan
from newsrec.event_log import EventDatabase
from tests.evaluation.abtest.logs import active_log

FLAGS = ("--mean", 4.0, "--std", 5.0, "--traffic", 500)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 readers known for 40 days, then split; the new arm's come half as often again."""
    generator = np.random.default_rng(0)
    rate = generator.beta(1.0, 3.0, 600)
    arms = np.where(generator.random(600) < 0.5, "new", "control")
    gain = np.where((arms == "new")[:, None] & (np.arange(80) >= 45), 1.5, 1.0)
    active = generator.random((600, 80)) < np.clip(rate[:, None] * gain, 0.0, 0.95)
    path = tmp_path_factory.mktemp("experiment") / "log"
    return events.write(active_log(active, np.zeros(600, int), arms, since=40), path)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def run(*arguments: object) -> int:
        """The exit code of ``newsrec`` with ``arguments``."""
        monkeypatch.setattr(sys, "argv", ["newsrec", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0)

    return run


def test_a_plan_from_flags(run: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    assert run("plan-test", "--mde", "2%", *FLAGS, "--clicks", 30, "--once", "--out", out) == 0
    printed = capsys.readouterr().out
    expected = plan(PlanConfig(mde=0.02, daily=False), Traffic(4.0, 5.0, (500.0,), clicks=30.0))
    assert f"{expected.readers:,}, of these {expected.readers_treated:,} in the treated arm" in printed
    assert f"{expected.days:,}: " in printed
    assert json.loads(out.read_text())["plan"]["readers"] == expected.readers
    assert run("plan-test", "--mde", "0.02", *FLAGS, "--out", out) == 0
    assert json.loads(out.read_text())["plan"]["readers"] > 1.5 * expected.readers


def test_a_plan_from_a_log_with_a_flag_over_it(run: Callable[..., int], log: Path, tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    assert run("plan-test", "--mde", "1%", "--log", log, "--traffic", 70, "--out", out) == 0
    found = json.loads(out.read_text())
    assert found["traffic"]["arrivals"] == [70.0]
    assert found["traffic"]["correlation"] > 0.5
    assert 5.0 < found["traffic"]["mean"] < 12.0


def test_an_experiment_is_judged_and_written(
    run: Callable[..., int], log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "verdict.json"
    assert run("experiment", log, "--set", "readers=600", "--out", out) == 0
    printed = capsys.readouterr().out
    assert "new: better" in printed
    assert "front-page, 2024-02-10 12:00 to 2024-03-20 12:00 UTC" in printed
    (found,) = json.loads(out.read_text())["comparisons"]
    assert (found["verdict"], found["arm"]) == ("better", "new")
    assert found["looks"]["low"][-1] > 0.0
    assert run("experiment", log, "--until", "2024-02-25", "--out", out) == 0
    (early,) = json.loads(out.read_text())["comparisons"]
    assert early["verdict"] == "not enough evidence"


def test_an_experiment_in_a_database_is_the_same(run: Callable[..., int], log: Path, tmp_path: Path) -> None:
    url, read = f"sqlite:///{tmp_path}/events.db", events.read(log)
    database = EventDatabase(url)
    for name, append in (("recommendations", database.append_recommendations), ("feedback", database.append_feedback)):
        table = getattr(read, name)
        for column in ("time", "received_at"):
            if column in table.column_names:
                place = table.column_names.index(column)
                table = table.set_column(place, column, table[column].cast("int64"))
        append(table.to_pylist(), 1_720_000_000_000_000)
    database.close()
    verdicts = []
    for source, more in ((log, ()), (f"log:{url}", ("--until", "2024-03-20T12:00"))):
        out = tmp_path / "verdict.json"
        assert run("experiment", source, *more, "--out", out) == 0
        verdicts.append(json.loads(out.read_text())["comparisons"][0]["plain"])
    assert verdicts[0] == verdicts[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan-test", "--mde", "small", *FLAGS], "--mde is 'small', expected a lift such as 0.1% or 0.001"),
        (["plan-test", "--mde", "1%", "--mean", 4], "--std --traffic is missing, expected --log LOG or all of --mean"),
        (
            ["plan-test", "--mde", "1%", *FLAGS, "--power", 2],
            "power is 2.0, expected a share between 0 and 1",
        ),
        (["plan-test", "--mde", "1%", "--log", "none-such"], "found no log 'none-such', expected a folder that exists"),
        (
            ["plan-test", "--mde", "1%", "--log", "{log}", "--days", 90],
            "expected more than the 90",
        ),
        (["experiment", "log:sqlite:///{log}/none.db"], "none.db does not exist; expected the event log of"),
        (["experiment", "log:nonsense"], "'nonsense' is no database URL"),
        (["experiment", "{log}", "--name", "other"], "no decision with an arm in experiment other"),
        (
            ["experiment", "{log}", "--control", "old"],
            "has the arms control, new; expected old (the control)",
        ),
        (["experiment", "{log}", "--set", "day=3"], "unknown key day; did you mean days?"),
        (["experiment", "{log}", "--until", "soon"], "--until is 'soon', expected a date or time such as 2026-01-31"),
        (["experiment", "{log}", "--until", "2024-02-01"], "the log has 0 experiments (none)"),
        (["experiment", "{log}", "--start", "2024-02-10"], "--start needs how readers are assigned: --salt"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list,
    message: str,
    run: Callable[..., int],
    log: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    out = tmp_path / "out.json"
    assert run(*(str(a).format(log=log) for a in arguments), "--out", out) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("newsrec: ")
    assert printed.err.count("\n") == 1
    assert not out.exists()


def test_lifts_are_shares_or_percent() -> None:
    assert [share_of(text) for text in ("0.1%", "0.001", "2 %")] == pytest.approx([0.001, 0.001, 0.02])
