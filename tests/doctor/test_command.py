"""``newsrec doctor``: what it prints and writes, and how it fails."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from newsrec import cli, events
from newsrec.doctor.finding import PARTS
from newsrec.event_log import EventDatabase
from tests.doctor.whole_log import whole

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        """Exit code and, without line ends, what ``newsrec doctor`` printed."""
        monkeypatch.setattr(sys, "argv", ["newsrec", "doctor", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), " ".join(printed.out.split()), printed.err

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return events.write(whole().log(), tmp_path / "log")


def test_parts_and_findings_are_printed(folder: Path, run: Run) -> None:
    code, out, err = run(folder)
    assert (code, err) == (0, "")
    for name in PARTS:
        assert f"{name} fine" in out
    assert "readers fine 60 readers" in out
    assert out.index("simulator calibration fine") < out.index("propensities fine logged on 300 of 300 decisions")


def test_json_holds_the_findings(folder: Path, tmp_path: Path, run: Run) -> None:
    code, _, _ = run(folder, "--horizon-days", "14", "--json", tmp_path / "new" / "found.json")
    found = json.loads((tmp_path / "new" / "found.json").read_text())
    assert code == 0
    assert [part["name"] for part in found["parts"]] == list(PARTS)
    (length,) = [one for one in found["findings"] if one["name"] == "length"]
    reason = "20 of 300 decisions are watched for 14 days"
    assert length["verdict"] == "limited"
    assert length["counts"]["watched"] == 20
    assert length["costs"][0] == {"part": "retention policies", "verdict": "limited", "reason": reason}
    assert {"name": "retention policies", "verdict": "limited", "sentence": reason} in found["parts"]


def test_a_named_folder_and_a_database_are_the_same_log(folder: Path, tmp_path: Path, run: Run) -> None:
    log, rows = whole().log(), whole()
    database = EventDatabase(f"sqlite:///{tmp_path / 'events.db'}")
    database.upsert_articles(rows.articles, now=0)
    database.append_recommendations(log.recommendations.to_pylist(), now=0)
    database.close()
    printed = run(folder)
    assert run(f"events:{folder}") == printed
    code, out, _ = run(f"log:sqlite:///{tmp_path / 'events.db'}")
    assert code == 0
    assert "60 of 60 readers are seen twice" in out
    assert "nobody clicked anything" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "found no log 'nowhere', expected a folder that exists or one of mind:PATH"),
        (["netflix:{tmp}"], "found no log 'netflix:"),
        (["mind:"], "found no log 'mind:'"),
        (["{tmp}/other"], "is no event log: articles.parquet is missing; of another format say which (mind, ebnerd"),
        (["events:{tmp}/none"], "articles.parquet is missing"),
        (["mind:{tmp}/none"], "No such file or directory"),
        (["log:sqlite:///{tmp}/none.db"], "none.db does not exist"),
        (["log:sqlite:///{tmp}/other/thesis.tex"], "is no event log"),
        (["log:sqlite:///{tmp}/empty.db"], "the log is empty: found no recommendation"),
        (["log:nothing"], "is no database URL"),
        (["{tmp}/log", "--horizon-days", "0"], "horizon_days is 0.0, expected more than 0 days"),
        (["{tmp}/broken"], "column event_id: found 'r0-0 impression a 1704092413000000', expected each key once"),
    ],
)
def test_bad_input_is_one_sentence(folder: Path, tmp_path: Path, run: Run, arguments: list[str], message: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("words " * 1000)
    EventDatabase(f"sqlite:///{tmp_path / 'empty.db'}").close()
    _with_equal_keys(folder, tmp_path / "broken")
    code, out, err = run(*(argument.format(tmp=tmp_path) for argument in arguments), "--json", tmp_path / "found.json")
    assert code == 2
    assert err.startswith("newsrec: ")
    assert message in err
    assert err.count("\n") == 1
    assert out == ""
    assert not (tmp_path / "found.json").exists()


def _with_equal_keys(folder: Path, out: Path) -> None:
    """A log whose feedback has one event twice, as two overlapping exports make it."""
    for name in events.SCHEMAS:
        (out / f"{name}.parquet").mkdir(parents=True)
        for shard in range(2 if name == "feedback" else 1):
            (out / f"{name}.parquet" / f"{shard}.parquet").write_bytes((folder / f"{name}.parquet").read_bytes())
