"""The kill switch: experiments that are stopped, in the event log's database, where every predictor of a site looks.

While an experiment is stopped all its readers have the incumbent, and its decisions name the experiment and no arm, so
that its analysis, which is of assigned arms, sees nobody cross over. No release is changed or deleted.
"""

import sqlalchemy as sa

from newsrec.database import transaction
from newsrec.event_tables import SETTINGS

_PREFIX = "stopped experiment: "


def stop(engine: sa.Engine, experiment: str, now: int) -> bool:
    """Stop ``experiment`` at ``now``, microseconds; False where it was stopped already, which stays as it was."""
    row = {"name": _PREFIX + experiment, "value": str(now)}
    with transaction(engine, "write") as connection:
        known = connection.scalar(sa.select(sa.exists().where(SETTINGS.c.name == row["name"])))
        if not known:
            connection.execute(SETTINGS.insert(), row)
    return not known


def resume(engine: sa.Engine, experiment: str) -> bool:
    """Let ``experiment`` go on; False where it was not stopped."""
    with transaction(engine, "write") as connection:
        this = SETTINGS.c.name == _PREFIX + experiment
        return bool(connection.execute(SETTINGS.delete().where(this)).rowcount)


def stopped(engine: sa.Engine) -> frozenset[str]:
    """The experiments that are stopped."""
    with transaction(engine, "read") as connection:
        names = connection.scalars(sa.select(SETTINGS.c.name).where(SETTINGS.c.name.startswith(_PREFIX)))
        return frozenset(name.removeprefix(_PREFIX) for name in names)
