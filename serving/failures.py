"""What is raised where the event log does not answer, and what its log line says of it. Imports nothing of Feast."""

import sqlalchemy as sa

EVENT_LOG_FAILURES = (sa.exc.DBAPIError, sa.exc.TimeoutError)
"""What SQLAlchemy raises where the database does not answer, or not in time."""


def one_line(error: Exception) -> str:
    """What ``error`` says, without line breaks and without the statement and the rows that SQLAlchemy adds."""
    return " ".join(str(getattr(error, "orig", error)).split())
