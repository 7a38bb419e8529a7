"""A log, by the name of its source, to its diagnosis."""

from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from newsrec import events
from newsrec.config import InvalidConfig
from newsrec.doctor import readers, reading, records, slates
from newsrec.doctor.evidence import HORIZON_DAYS, Evidence
from newsrec.doctor.finding import Diagnosis, sum_up
from newsrec.events import SCHEMAS, EventLog, InvalidEvents
from newsrec.ingestion import SOURCES

FINDINGS = (
    slates.propensities,
    slates.exploration,
    slates.candidates,
    slates.positions,
    readers.readers,
    readers.seen_again,
    readers.length,
    reading.click_rate,
    reading.judged,
    reading.kinds,
    reading.titles,
    records.clock,
    records.local_time,
    records.publication,
    records.arrival,
    records.duplicates,
    records.references,
)
"""What is asked of a log with decisions, in the order of the report."""


def read(source: str, timezone: str | None = None) -> EventLog:
    """The log of ``source``: a folder in the schema, or what ``ingestion`` takes, such as ``mind:PATH``.

    Raises InvalidEvents, InvalidConfig, FileNotFoundError.
    """
    if Path(source).is_dir():
        return events.read(_folder(Path(source)))
    kind, _, where = source.partition(":")
    if kind not in SOURCES or not where:
        known = ", ".join(f"{name}:{'URL' if name == 'log' else 'PATH'}" for name in SOURCES)
        raise InvalidConfig(f"found no log {source!r}, expected a folder that exists or one of {known}")
    try:
        return SOURCES[kind](where, timezone)
    except SQLAlchemyError as error:
        raise InvalidEvents(f"the database is no event log: {str(error).splitlines()[0]}") from None


def _folder(path: Path) -> Path:
    missing = [name for name in SCHEMAS if not (path / f"{name}.parquet").exists()]
    if missing:
        other = ", ".join(name for name in SOURCES if name not in ("events", "log"))
        hint = f"of another format say which ({other}), such as mind:{path}"
        raise InvalidEvents(f"{path} is no event log: {missing[0]}.parquet is missing; {hint}")
    return path


def diagnose(log: EventLog, horizon_days: float = HORIZON_DAYS, now: int | None = None) -> Diagnosis:
    """What ``log`` can answer.

    A return counts within ``horizon_days``. Decisions after ``now`` (microseconds) are called wrong. Raises
    InvalidEvents for a log that is empty, InvalidConfig for a horizon that is no time.
    """
    if not 0.0 < horizon_days < 36_500.0:
        raise InvalidConfig(f"horizon_days is {horizon_days}, expected more than 0 days and less than a century")
    if not log.recommendations.num_rows:
        raise InvalidEvents("the log is empty: found no recommendation, expected decisions")
    evidence = Evidence.of(log, horizon_days, now)
    first = slates.decisions(evidence)
    if first.verdict == "unfit":
        return sum_up([first])
    return sum_up([first, *(find(evidence) for find in FINDINGS)])
