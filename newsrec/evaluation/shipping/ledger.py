"""All verdicts that were ever given, one a line of JSON, oldest first; a line is only ever added.

A line is written by one call under a lock and reaches the disk before ``append`` returns; where the disk is full, the
file is what it was. A process that is killed within that call can leave a torn line behind: the next one begins on a
line of its own, and ``read`` names and skips whatever is no verdict.
"""

import fcntl
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from newsrec.evaluation.shipping.report import to_mapping
from newsrec.evaluation.shipping.verdict import Verdict

FORMAT = 1


class Ledger(NamedTuple):
    """What a file holds."""

    entries: tuple[dict[str, Any], ...]
    """``report.to_mapping`` of each verdict, with ``format``, ``time`` (ISO 8601) and ``run``."""
    skipped: tuple[str, ...]
    """A sentence for each line that is no verdict."""


def append(path: str | Path, verdict: Verdict, run: str, now: datetime) -> None:
    """Add ``verdict``, of the pipeline's run ``run`` at ``now``, which knows its time zone. Raises OSError."""
    if now.tzinfo is None:
        raise ValueError(f"now is {now.isoformat()}, expected a time with its zone, such as UTC")
    entry = {"format": FORMAT, "time": now.isoformat(timespec="seconds"), "run": run, **to_mapping(verdict)}
    line = json.dumps(entry, allow_nan=False).encode() + b"\n"
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            line = line if file.read(1) == b"\n" else b"\n" + line
        try:
            written = file.write(line)
            if written != len(line):
                raise OSError(f"{path}: {written} of {len(line)} bytes were written, is the disk full?")
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise


def append_once(path: str | Path, verdict: Verdict, run: str, now: datetime) -> bool:
    """``append`` unless ``run`` has its verdict already, as when its task was lost and is tried again; whether it did.

    One run has one task at a time, so nobody else writes the line between the look and the writing.
    """
    if any(entry["run"] == run for entry in read(path).entries):
        return False
    append(path, verdict, run, now)
    return True


def read(path: str | Path) -> Ledger:
    """The verdicts of a file, none where there is no file yet."""
    path = Path(path)
    entries: list[dict[str, Any]] = []
    skipped = []
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict) and entry.get("format") == FORMAT:
            entries.append(entry)
        else:
            what = "is torn" if entry is None else f"is no verdict of format {FORMAT}"
            skipped.append(f"{path.name}, line {number} {what} and was skipped: {line[:60].decode(errors='replace')}")
    return Ledger(tuple(entries), tuple(skipped))


def to_markdown(ledger: Ledger) -> str:
    """A table, newest first, and what was skipped."""
    lines = ["| time | run | decision | share | |", "| --- | --- | --- | ---: | --- |"]
    for entry in reversed(ledger.entries):
        cells = [entry["time"], entry["run"], entry["decision"], f"{entry['share']:.1%}", entry["sentence"]]
        lines.append(f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |")
    chance = sum(entry["risk"] for entry in ledger.entries)
    lines += ["", f"{len(ledger.entries):,} verdicts: if no candidate had been any good, up to {chance:.2g} of them"]
    lines[-1] += " would be shipped by chance in the mean."
    lines += [f"- {sentence}" for sentence in ledger.skipped]
    return "\n".join(lines) + "\n"
