"""``make audit``: known vulnerabilities of all that requirements.lock names, by pip-audit; silence is no answer.

pip-audit ends well where it could not ask about a package: it skips it, and says that it found nothing. Here what was
skipped is not audited, and that is the result. A finding that cannot be helped for now may be allowed in
``.ci/audit.toml`` with a reason and a date after which it is a finding again.
"""

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LOCK, ALLOWED = ROOT / "requirements.lock", ROOT / ".ci" / "audit.toml"
GOOD, FOUND, NOT_AUDITED = 0, 1, 2


class Allowed(NamedTuple):
    """A finding that is known, why nothing is done about it, and until when that holds."""

    id: str
    package: str
    until: date
    reason: str


class Verdict(NamedTuple):
    code: int
    lines: list[str]


def judge(report: Mapping[str, Any], packages: Sequence[str], allowed: Sequence[Allowed], today: date) -> Verdict:
    """What pip-audit's ``report`` says of ``packages``, each of which it must have asked about."""
    lines, code = [], GOOD
    told = {found["name"].lower(): found for found in report["dependencies"]}
    skipped = [name for name in packages if "vulns" not in told.get(name, {})]
    permitted = {(entry.package, entry.id): entry for entry in allowed}
    used = set()
    for name in packages:
        for vulnerability in told.get(name, {}).get("vulns", []):
            ids = [vulnerability["id"], *vulnerability.get("aliases", [])]
            entry = next((permitted[name, each] for each in ids if (name, each) in permitted), None)
            version, fixed = told[name]["version"], ", ".join(vulnerability["fix_versions"]) or "no version"
            if entry is not None:
                used.add(entry)
            if entry is not None and today <= entry.until:
                lines.append(f"allowed until {entry.until}: {name} {version}, {ids[0]}: {entry.reason}")
                continue
            code = FOUND
            late = f"; it was allowed until {entry.until}" if entry else ""
            lines.append(f"FOUND: {name} {version}, {', '.join(ids)}, mended in {fixed}{late}")
    lines += [
        f"{entry.package}, {entry.id}: allowed in {ALLOWED.name} and not found any more; remove it"
        for entry in allowed
        if entry not in used and entry.package not in skipped
    ]
    if skipped:
        reason = told.get(skipped[0], {}).get("skip_reason", "pip-audit says nothing about it")
        lines.append(f"NOT AUDITED: {len(skipped)} of {len(packages)} packages, first {skipped[0]}: {reason}")
        code = code or NOT_AUDITED
    elif code == GOOD:
        lines.append(f"{len(packages)} packages, no vulnerability that is known and not allowed")
    return Verdict(code, lines)


def locked(lock: Path) -> list[str]:
    """The names in the file of exact versions."""
    lines = (line.partition("#")[0].strip() for line in lock.read_text(encoding="utf-8").splitlines())
    return [line.partition("==")[0].lower() for line in lines if line]


def read_allowed(file: Path) -> list[Allowed]:
    return [Allowed(**entry) for entry in tomllib.loads(file.read_text(encoding="utf-8")).get("allowed", [])]


def audit(program: str, lock: Path = LOCK, allowed: Path = ALLOWED) -> Verdict:
    """Run pip-audit over ``lock`` and judge what it reports."""
    names = locked(lock)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.json"
        options = ["--requirement", lock, "--no-deps", "--disable-pip", "--format", "json", "--output", out]
        done = subprocess.run([program, *options], capture_output=True, text=True, check=False)
        if not out.exists():
            said = done.stderr.strip().splitlines() or ["it said nothing"]
            return Verdict(NOT_AUDITED, [f"NOT AUDITED: pip-audit ended with code {done.returncode}: {said[-1]}"])
        report = json.loads(out.read_text(encoding="utf-8"))
    return judge(report, names, read_allowed(allowed), datetime.now(UTC).date())


def main() -> int:
    """0 where all is well; 1 for a finding; where nothing could be asked 0, or 2 with ``audit`` in REQUIRE."""
    code, lines = audit(sys.argv[1])
    for line in lines:
        print(f"audit: {line}")
    if code == NOT_AUDITED and "audit" not in os.environ.get("REQUIRE", "").split(","):
        return GOOD
    return code


if __name__ == "__main__":
    sys.exit(main())
