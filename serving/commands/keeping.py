"""What is kept of readers, under which id, and for how long: ``forget``, ``stored-id`` and ``retain``."""

from typing import Annotated

import typer

from serving.commands.opening import clock, connect, one_sentence, reader_key
from serving.commands.options import EVENT_LOG, STORE, BelowHorizon, EventLog, ReaderKey, Store

Reader = Annotated[str, typer.Argument(help="The reader's id as the application knows it.")]


def forget(
    reader: Reader,
    store: Store = STORE,
    event_log: EventLog = EVENT_LOG,
    reader_key_file: ReaderKey = None,
) -> None:
    """Delete everything that is stored of one reader, for good; docs/privacy.md says what that cannot reach."""
    from newsrec.config import InvalidConfig
    from serving.forget import forget

    with one_sentence():
        if not reader:
            raise InvalidConfig("the reader's id is empty; give the one that the application knows")
        backends = connect(store, event_log, reader_key_file)
        print(forget(backends, reader))
    backends.database.close()


def stored_id(reader: Reader, reader_key_file: ReaderKey = None) -> None:
    """Say under which id READER is stored: for commands where the key of reader ids is not at hand."""
    from newsrec.assignment import pseudonym

    with one_sentence():
        print(pseudonym(reader, reader_key(reader_key_file)))


def retain(
    days: Annotated[int, typer.Option(min=1, help="Decisions and their feedback are kept this long.")],
    event_log: EventLog = EVENT_LOG,
    below_horizon: BelowHorizon = False,
) -> None:
    """Delete decisions, with their feedback, that are older than DAYS; the collector does it with --retain-days."""
    from newsrec.event_log import EventDatabase
    from serving.retention import check_days, retain

    with one_sentence():
        check_days(days, below_horizon)
        database = EventDatabase(event_log)
        removed = retain(database, days, clock())
    print(
        f"deleted: {removed.recommendations} recommendations, {removed.feedback} feedback events and "
        f"{removed.quarantined} waiting ones"
    )
    database.close()
