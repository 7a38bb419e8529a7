"""``make audit`` fails for what is known, and says so where it could not ask."""

import json
import stat
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from scripts.audit import ALLOWED, FOUND, GOOD, LOCK, NOT_AUDITED, Allowed, audit, judge, locked, read_allowed
from tests.conftest import ROOT

TODAY = date(2026, 6, 1)
HOLE = {"id": "PYSEC-1", "aliases": ["CVE-2026-1"], "fix_versions": ["2.0"], "description": "a hole"}
SKIPPED = {"name": "b", "skip_reason": "Dependency not found on PyPI and could not be audited: b (1.0)"}


def report(*dependencies: dict) -> dict:
    return {"dependencies": list(dependencies), "fixes": []}


def clean(name: str) -> dict:
    return {"name": name, "version": "1.0", "vulns": []}


def test_all_asked_and_nothing_found() -> None:
    verdict = judge(report(clean("A"), clean("b")), ["a", "b"], [], TODAY)
    assert verdict == (GOOD, ["2 packages, no vulnerability that is known and not allowed"])


def test_what_was_skipped_is_not_audited() -> None:
    expected = f"NOT AUDITED: 1 of 2 packages, first b: {SKIPPED['skip_reason']}"
    assert judge(report(clean("a"), SKIPPED), ["a", "b"], [], TODAY) == (NOT_AUDITED, [expected])
    expected = "NOT AUDITED: 1 of 2 packages, first b: pip-audit says nothing about it"
    assert judge(report(clean("a")), ["a", "b"], [], TODAY) == (NOT_AUDITED, [expected])


def test_a_finding_fails_whatever_else_was_skipped() -> None:
    code, lines = judge(report({**clean("a"), "vulns": [HOLE]}, SKIPPED), ["a", "b"], [], TODAY)
    assert (code, lines[0]) == (FOUND, "FOUND: a 1.0, PYSEC-1, CVE-2026-1, mended in 2.0")
    assert lines[1].startswith("NOT AUDITED: 1 of 2")


@pytest.mark.parametrize("known_as", ["PYSEC-1", "CVE-2026-1"])
def test_an_allowed_finding_is_one_again_after_its_day(known_as: str) -> None:
    found = report({**clean("a"), "vulns": [HOLE]})
    entry = Allowed(known_as, "a", TODAY, "not used")
    code, lines = judge(found, ["a"], [entry], TODAY)
    assert (code, lines[0]) == (GOOD, "allowed until 2026-06-01: a 1.0, PYSEC-1: not used")
    code, lines = judge(found, ["a"], [entry], date(2026, 6, 2))
    assert code == FOUND
    assert lines == ["FOUND: a 1.0, PYSEC-1, CVE-2026-1, mended in 2.0; it was allowed until 2026-06-01"]
    assert judge(found, ["a"], [entry._replace(package="b")], TODAY).code == FOUND


def test_an_entry_that_is_needed_no_more_is_named() -> None:
    _, lines = judge(report(clean("a")), ["a"], [Allowed("PYSEC-1", "a", TODAY, "not used")], TODAY)
    assert lines[0] == "a, PYSEC-1: allowed in audit.toml and not found any more; remove it"


def test_the_lock_and_the_list_are_read() -> None:
    names = locked(LOCK)
    assert {"numpy", "kserve", "feast", "torch"} <= set(names)
    assert len(names) == len(set(names))
    assert all(entry.reason for entry in read_allowed(ALLOWED))


def program(folder: Path, body: str) -> str:
    """A stand-in for pip-audit."""
    path = folder / "pip-audit"
    path.write_text(f"#!{sys.executable}\nimport json, sys\nout = sys.argv[sys.argv.index('--output') + 1]\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_program_that_reports_nothing_has_audited_nothing(tmp_path: Path) -> None:
    broken = program(tmp_path, "print('no network', file=sys.stderr); sys.exit(1)")
    assert audit(broken) == (NOT_AUDITED, ["NOT AUDITED: pip-audit ended with code 1: no network"])


@pytest.mark.parametrize(("required", "code"), [("", 0), ("redis,audit", 2)])
def test_where_nothing_could_be_asked_it_is_said_and_fails_where_required(
    tmp_path: Path, required: str, code: int
) -> None:
    text = json.dumps(report())
    quiet = program(tmp_path, f"open(out, 'w').write({text!r})")
    done = subprocess.run(
        [sys.executable, "-m", "scripts.audit", quiet],
        cwd=ROOT,
        env={"REQUIRE": required, "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert done.stdout.startswith(f"audit: NOT AUDITED: {len(locked(LOCK))} of {len(locked(LOCK))} packages, first ")
