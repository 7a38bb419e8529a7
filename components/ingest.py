"""A log from outside, as validated events with article embeddings."""

from kfp import dsl

from components import component


@component
def ingest(source: str, timezone: str, data: str, code: str, events: dsl.Output[dsl.Dataset]):
    """Read ``source`` (``mind:PATH``, ``log:DATABASE_URL`` ...) into an event log; ``timezone`` for naive times."""
    from newsrec import ingestion

    ingestion.ingest(source, events.path, timezone or None)
