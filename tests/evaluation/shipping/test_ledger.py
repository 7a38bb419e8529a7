"""A ledger that only grows, whatever happens to its last line."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from newsrec.evaluation.shipping import ledger
from newsrec.evaluation.shipping.report import to_mapping
from newsrec.evaluation.shipping.verdict import Verdict, decide
from tests.evaluation.shipping.worlds import asked, findings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    return decide("new", findings(200, 0.0, np.random.default_rng(3)), asked(), np.random.default_rng(0))


def test_no_file_is_an_empty_ledger(tmp_path: Path) -> None:
    assert ledger.read(tmp_path / "verdicts.jsonl") == ((), ())


def test_each_verdict_is_one_line(tmp_path: Path, verdict: Verdict) -> None:
    path = tmp_path / "gate" / "verdicts.jsonl"
    ledger.append(path, verdict, "a/1", NOON)
    first = path.read_bytes()
    ledger.append(path, verdict, "b/1", NOON)
    assert path.read_bytes().startswith(first)
    assert path.read_bytes().count(b"\n") == 2
    found = ledger.read(path)
    assert [entry["run"] for entry in found.entries] == ["a/1", "b/1"]
    assert found.skipped == ()
    told = {"format": 1, "time": "2026-03-01T12:00:00+00:00", "run": "a/1"}
    assert found.entries[0] == {**told, **json.loads(json.dumps(to_mapping(verdict)))}


def test_a_torn_last_line_is_named_and_the_next_one_stands_alone(tmp_path: Path, verdict: Verdict) -> None:
    path = tmp_path / "verdicts.jsonl"
    for run in ("a/1", "b/1"):
        ledger.append(path, verdict, run, NOON)
    path.write_bytes(path.read_bytes()[:-40])
    torn = ledger.read(path)
    assert [entry["run"] for entry in torn.entries] == ["a/1"]
    assert len(torn.skipped) == 1
    assert torn.skipped[0].startswith('verdicts.jsonl, line 2 is torn and was skipped: {"format": 1')
    ledger.append(path, verdict, "c/1", NOON)
    assert [entry["run"] for entry in ledger.read(path).entries] == ["a/1", "c/1"]


def test_a_whole_line_that_lacks_its_end_is_kept(tmp_path: Path, verdict: Verdict) -> None:
    path = tmp_path / "verdicts.jsonl"
    ledger.append(path, verdict, "a/1", NOON)
    path.write_bytes(path.read_bytes()[:-1])
    ledger.append(path, verdict, "b/1", NOON)
    assert [entry["run"] for entry in ledger.read(path).entries] == ["a/1", "b/1"]


def test_lines_of_something_else_are_named(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_text('{"format": 2}\n[1]\n\n')
    expected = [f"verdicts.jsonl, line {n} is no verdict of format 1 and was skipped" for n in (1, 2)]
    assert [sentence.partition(":")[0] for sentence in ledger.read(path).skipped] == expected


def test_a_failed_write_leaves_the_file_as_it_was(
    tmp_path: Path, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "verdicts.jsonl"
    ledger.append(path, verdict, "a/1", NOON)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        ledger.append(path, verdict, "b/1", NOON)
    assert path.read_bytes() == before


def test_writers_at_once_keep_their_lines_apart(tmp_path: Path, verdict: Verdict) -> None:
    path = tmp_path / "verdicts.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda run: ledger.append(path, verdict, str(run), NOON), range(40)))
    found = ledger.read(path)
    assert sorted(int(entry["run"]) for entry in found.entries) == list(range(40))
    assert found.skipped == ()


def test_a_time_without_its_zone_is_refused(tmp_path: Path, verdict: Verdict) -> None:
    with pytest.raises(ValueError, match="expected a time with its zone"):
        ledger.append(tmp_path / "verdicts.jsonl", verdict, "a/1", datetime(2026, 3, 1))
    assert not (tmp_path / "verdicts.jsonl").exists()


def test_markdown_has_the_newest_first(tmp_path: Path, verdict: Verdict) -> None:
    path = tmp_path / "verdicts.jsonl"
    for run in ("a/1", "b/1"):
        ledger.append(path, verdict, run, NOON)
    with path.open("a") as file:
        file.write("{")
    lines = ledger.to_markdown(ledger.read(path)).splitlines()
    assert [line.split(" | ")[1] for line in lines[2:4]] == ["b/1", "a/1"]
    assert lines[2].endswith(f"| mix | {verdict.share:.1%} | {verdict.sentence} |")
    assert lines[5].startswith("2 verdicts: if no candidate had been any good, up to 0.1 of them")
    assert lines[6].startswith("- verdicts.jsonl, line 3 is torn")
