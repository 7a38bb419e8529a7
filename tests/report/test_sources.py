"""Where a page finds what it tells, and which folders it refuses."""

import json
import os
from pathlib import Path

import pytest

from newsrec.report.sources import NothingToReport, gather
from tests.report import runs


def test_a_run_is_found_by_its_folder_its_verdict_and_the_folder_above_all_runs(tmp_path: Path) -> None:
    folder = runs.run(tmp_path)
    for place in (folder, folder / "gate", folder / "gate" / "verdict", tmp_path):
        found = gather(place)
        assert found.name == "newsrec-training-1", place
        assert found.comparison["selection"]["winner"] == "transformer"
        assert found.slices["groups"]
        assert found.examples["examples"]
        assert found.study is None


def test_of_several_runs_the_latest_is_told(tmp_path: Path) -> None:
    old, new = runs.run(tmp_path, "newsrec-training-2"), runs.run(tmp_path, "newsrec-training-1")
    os.utime(old / "gate" / "verdict" / "verdict.json", (1, 1))
    assert gather(tmp_path).name == new.name


def test_an_older_verdict_is_joined_by_its_evaluation(tmp_path: Path) -> None:
    folder = runs.run(tmp_path, comparison=None, slices=None, examples=None)
    assert gather(folder).comparison is None
    (folder / "evaluate" / "report").mkdir(parents=True)
    (folder / "evaluate" / "metrics").write_text(json.dumps(runs.comparison()))
    (folder / "evaluate" / "report" / "slices.json").write_text("{}")
    found = gather(folder)
    assert found.comparison is not None
    assert (found.slices, found.examples) == ({}, None)


def test_the_ledger_is_found_beside_the_run_or_where_it_is_said_to_be(tmp_path: Path) -> None:
    folder = runs.run(tmp_path)
    assert not gather(folder).ledger.entries
    path = runs.write_ledger(tmp_path)
    assert [entry["run"] for entry in gather(folder).ledger.entries] == ["run 0", "run 1"]
    elsewhere = path.rename(tmp_path / "all.jsonl")
    assert len(gather(folder, ledger=elsewhere).ledger.entries) == 2


def test_a_study_stands_alone_or_joins_a_run(tmp_path: Path) -> None:
    study = runs.write_study(tmp_path / "study")
    for place in (study, study / "report"):
        found = gather(place)
        assert (found.name, found.study["study"]["baseline"], found.plays) == ("study", "base", None)
    (study / "play").mkdir()
    found = gather(runs.run(tmp_path), study=study)
    assert (found.name, found.study["study"]["days"], found.plays) == ("newsrec-training-1", 28, study)


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("nowhere", {}, "nowhere holds no such folder; expected a run of the training pipeline or a study"),
        (".", {}, "neither gate/verdict/verdict.json nor report/results.json; expected a run"),
        ("pipelines/request/newsrec-training-1", {"study": "."}, "holds no report/results.json; expected the --out"),
        ("pipelines/request/newsrec-training-1", {"ledger": "x"}, "x is no file; expected the verdicts.jsonl"),
    ],
)
def test_what_is_no_run_is_refused_in_one_sentence(path: str, options: dict, message: str, tmp_path: Path) -> None:
    if path != ".":
        runs.run(tmp_path)
    with pytest.raises(NothingToReport, match=message):
        gather(tmp_path / path, **{name: tmp_path / value for name, value in options.items()})


@pytest.mark.parametrize("content", ["", "[]", "\xff"])
def test_a_broken_file_is_named(content: str, tmp_path: Path) -> None:
    folder = runs.run(tmp_path)
    (folder / "gate" / "verdict" / "slices.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(NothingToReport, match=r"slices.json (cannot be read|holds a list; expected a JSON object)"):
        gather(folder)
